import type { Choices } from "../consent-service";
import { buildBanner, buildReopen } from "./banner";
import { config, texts } from "./config";
import { el, focusOn } from "./dom";
import { emit } from "./events";
import { note } from "./layer";
import { buildPreferences } from "./preferences";
import { isOutdated, standing } from "./store";
import { textOn } from "./styles";

/** What stands on the page: always exactly one of these. */
export type Layer = "banner" | "preferences" | "reopen";

/** A screen reader has to have met the empty line before the words come. */
const ANNOUNCE_DELAY = 100;
/** How long a status stays readable. */
const STATUS_TIME = 6000;

const statusLine = el("div", { role: "status" });

/** The one element the widget adds to the page. */
export const root = el("div", { id: "csvc-root" }, statusLine);

/** The layer now on the page. */
export let layer: Layer | undefined;

let drawn: HTMLElement | undefined;
let statusTimer = 0;

function build(next: Layer, choices?: Choices): HTMLElement {
  if (next === "banner") return buildBanner();
  return next === "preferences" ? buildPreferences(choices) : buildReopen();
}

function applyTheme(): void {
  const { language, direction, theme } = config;
  root.lang = language;
  root.dir = direction;
  if (theme.accent) {
    root.style.setProperty("--csvc-accent", theme.accent);
    root.style.setProperty("--csvc-on-accent", textOn(theme.accent));
  }
}

/**
 * Puts a layer in the place of the one on the page.
 *
 * @param choices - the boxes ticked in the preference centre
 */
export function draw(next: Layer, choices = standing()): void {
  const isNew = layer !== next;
  applyTheme();
  drawn?.remove();
  drawn = build(next, choices);
  layer = next;
  // The keyboard meets what waits for an answer first, and what merely stays last.
  document.body[next === "banner" ? "prepend" : "append"](root);
  root.prepend(drawn);
  if (isOutdated()) say(texts.notice_changed);
  if (next === "preferences") {
    (drawn as HTMLDialogElement).showModal();
    focusOn(drawn.querySelector("h2"));
  }
  if (isNew && next !== "reopen") emit("shown", { surface: next });
}

/** Marks the layer as waiting. Its buttons are not disabled, which would take the focus away from the one pressed. */
export function setBusy(busy: boolean): void {
  drawn?.setAttribute("aria-busy", String(busy));
}

/** Says that something is done, without taking the focus. */
export function status(text: string, delay = ANNOUNCE_DELAY): void {
  clearTimeout(statusTimer);
  statusTimer = window.setTimeout(() => {
    statusLine.textContent = text;
    if (text) status("", STATUS_TIME);
  }, delay);
}

/** Says something beside the buttons; `alert` where it answers what the visitor just did. */
export function say(text: string, role?: "alert"): void {
  const actions = root.querySelector(".csvc-actions");
  if (!actions) return status(text);
  actions.querySelector("p")?.remove();
  actions.prepend(note(text, role));
}
