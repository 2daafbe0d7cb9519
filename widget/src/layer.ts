import { signal } from "./api";
import { config, texts } from "./config";
import type { Child } from "./dom";
import { el } from "./dom";

/** What a button does, and the text that says so. */
export type Press = "accept_all" | "reject_all" | "withdraw" | "choose" | "save" | "reopen" | "close" | "language";

/** A button; `style` is "solid" or nothing. */
export function button(press: Exclude<Press, "language">, style?: string, id: string = press): HTMLElement {
  return el("button", { class: style, id: `csvc-${id}`, value: press }, texts[press]);
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

/** Leads to the choice of language, where there is one. A list of them all would hold up the banner. */
function languageButton(): Child {
  const { languages, language } = config;
  const name = languages.find(({ code }) => code === language)?.name;
  const label = texts.language + ": " + name;
  return languages[1] && el("button", { id: "csvc-language", value: "language", "aria-label": label }, name + " ▾");
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
      "header",
      {},
      el("h2", {}, title),
      languageButton(),
      el("button", { id: "csvc-close", value: "close", "aria-label": closeLabel }, "×"),
    ),
    el("p", {}, body, " ", policyLink()),
    signalNote(),
    ...more,
  );
}

/** The buttons of a layer. Accept and reject are made alike: neither may look or weigh more than the other. */
export function actions(style: string | undefined, reject: "reject_all" | "withdraw", third: HTMLElement): HTMLElement {
  return el(
    "div",
    { class: "csvc-actions" },
    button("accept_all", style, "accept"),
    button(reject, style, "reject"),
    third,
  );
}
