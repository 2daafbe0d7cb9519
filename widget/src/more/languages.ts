import { config, texts } from "../config";
import { el } from "../dom";

/** Puts the list of languages in the place of the button that leads to it, and opens it where the browser lets a page. */
export function offerLanguages(button: Element): void {
  const { languages, language } = config;
  const options = languages.map(({ code, name }) =>
    el("option", { value: code, lang: code, selected: code === language }, name),
  );
  const select = el("select", { id: button.id, "aria-label": texts.language }, ...options);
  button.replaceWith(select);
  select.focus();
  try {
    select.showPicker();
  } catch {
    // The next press opens it.
  }
}
