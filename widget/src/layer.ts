import { signal } from "./api";
import { config, texts } from "./config";
import type { Child } from "./dom";
import { el } from "./dom";

/** What a button does, and the text that says so. */
export type Press = "accept_all" | "reject_all" | "withdraw" | "choose" | "save" | "reopen" | "close";

/** A button; `style` is "solid" or nothing. */
export function button(id: string, press: Press, style?: string): HTMLElement {
  return el("button", { id: `csvc-${id}`, class: style, value: press }, texts[press]);
}

/** A line that stands out; with a role, it is also read out at once. */
export function note(text: string, role?: "alert"): HTMLElement {
  return el("p", { class: "csvc-note", role }, text);
}

/** Whether the browser sends an opt-out signal. */
export function isSignalled(): boolean {
  return config.gpc.detected || signal();
}

/** What the visitor is told about their browser's opt-out signal, if it sends one. */
export function signalNote(): Child {
  return isSignalled() && note(config.gpc.note);
}

/** The choice of language, where there is one. */
function languageSwitch(): Child {
  const { languages, language } = config;
  const options = languages.map(({ code, name }) =>
    el("option", { value: code, lang: code, selected: code === language }, name),
  );
  return options.length > 1 && el("select", { id: "csvc-language", "aria-label": texts.language }, ...options);
}

/** The link to the policy; a configuration cannot make it run a script. */
function policyLink(): Child {
  const { url } = config.policy;
  return /^http/.test(url) && el("a", { href: url }, texts.policy_link);
}

/** The part of a layer that scrolls: its title and what it says. */
export function words(title: string, body: string, closeLabel: string, ...more: Child[]): HTMLElement {
  return el(
    "div",
    { class: "csvc-scroll" },
    el(
      "div",
      { class: "csvc-head" },
      el("h2", {}, title),
      languageSwitch(),
      el("button", { id: "csvc-close", value: "close", "aria-label": closeLabel }, "×"),
    ),
    el("p", {}, body, " ", policyLink()),
    signalNote(),
    ...more,
  );
}

/** The buttons of a layer. Accept and reject are made alike: neither may look or weigh more than the other. */
export function actions(style: string | undefined, reject: Press, third: HTMLElement): HTMLElement {
  return el(
    "div",
    { class: "csvc-actions" },
    button("accept", "accept_all", style),
    button("reject", reject, style),
    third,
  );
}
