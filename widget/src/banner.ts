import { config, texts } from "./config";
import { el } from "./dom";
import { actions, button, words } from "./layer";

/** The first layer: a region of the page and not a dialog; it takes no focus and leaves the page usable. */
export function buildBanner(): HTMLElement {
  return el(
    "section",
    { class: `csvc-${config.theme.position}`, "aria-label": texts.title },
    words(texts.title, texts.body, texts.dismiss),
    actions("csvc-solid", "reject_all", button("choose")),
  );
}

/** The quiet control that stays after a choice. */
export function buildReopen(): HTMLElement {
  return el("aside", { "aria-label": texts.reopen }, button("reopen"));
}
