import type { Choices } from "../consent-service";
import { buildBanner, buildReopen } from "./banner";
import type { Action } from "./api";
import { texts, useConfig } from "./config";
import type { Face } from "./core";
import { all, decide } from "./decide";
import { focusOn } from "./dom";
import { emit, failed, on } from "./events";
import type { Press } from "./layer";
import { more } from "./load-more";
import { isDue, postpone } from "./store";
import { addStyles } from "./styles";
import css from "./styles.css";
import type { Layer } from "./view";
import { draw, layer, root, say, setBusy, stay, status, uncover } from "./view";

let opener: Element | null = null;

/**
 * Shows a layer that asks.
 *
 * @param choices - the boxes to tick in the preference centre, where not those ticked there now, or else those that stand
 */
async function show(next: Layer, choices?: Choices): Promise<void> {
  if (next === "preferences") draw(next, (await more()).buildPreferences(root, choices));
  else draw("banner", buildBanner());
}

/** Shows what stands on the page while nobody is in the preference centre. */
function rest(): void {
  if (isDue()) draw("banner", buildBanner());
  else draw("reopen", buildReopen());
}

/** Puts the focus back to where the preference centre was opened from, or to the page. */
function returnFocus(): void {
  focusOn(opener, document.getElementById(opener?.id!));
  opener = null;
}

function complain(error: unknown): void {
  say(texts.error, "alert");
  failed(error);
}

/**
 * Opens the preference centre.
 *
 * @param choices - the boxes to tick, where not those that stand
 */
export function open(from: Element | null = document.activeElement, choices?: Choices): void {
  if (layer === "preferences") return;
  opener = from;
  show("preferences", choices).catch(complain);
}

/** Leaves a layer with nothing decided. From the banner, it stays away for as long as the region's rule says. */
function close(): void {
  if (layer === "reopen") return;
  if (layer === "banner") {
    postpone();
    emit("dismissed", {});
    draw("reopen", buildReopen());
  } else rest();
  returnFocus();
}

async function switchLanguage(code: string): Promise<void> {
  useConfig(await (await more()).fetchConfig(code));
  await show(layer!);
  focusOn(root.querySelector("#csvc-language"));
}

/** Records a decision; where that fails, says so and grants nothing. Never rejects. */
export async function press(action: Action): Promise<void> {
  const surface = layer === "banner" ? layer : "preferences";
  setBusy(true);
  const choices = action === "save" ? (await more()).tickedChoices(root) : all(action === "accept_all");
  const outcome = await decide(choices, action, surface);
  setBusy(false);
  if (outcome) return status(action === "withdraw" ? texts.withdrawn : texts.saved);
  if (outcome === false) {
    await show(surface);
    focusOn(root.querySelector("h2"));
  }
  say(outcome === false ? texts.notice_changed : texts.error, "alert");
}

function heard(event: Event): void {
  const target = event.target as HTMLSelectElement;
  const isOwn = root.contains(target);
  const { type } = event;
  if (type === "focusin") {
    if (!isOwn && layer === "banner") uncover(target);
  } else if (type === "click") {
    const control = target.closest?.("[data-consent-open]");
    const value = isOwn && target.tagName === "BUTTON" ? (target.value as Press) : control && "choose";
    if (control) event.preventDefault();
    if (value === "close") close();
    else if (value === "language") more().then((rest) => rest.offerLanguages(target), complain);
    else if (value === "choose" || value === "reopen") open(control ?? target);
    else if (value) void press(value);
  } else if (isOwn) {
    // The boxes have no id: only the choice of language acts at once.
    if (type === "change" && target.id) switchLanguage(target.value).catch(complain);
    // In the preference centre, Escape closes.
    if (type === "close" || ((event as KeyboardEvent).key === "Escape" && layer === "banner")) close();
  }
}

function listen(): void {
  // Not all of them bubble.
  for (const type of ["click", "change", "close", "focusin", "keydown"]) addEventListener(type, heard, true);
}

/** The banner, the preference centre and the quiet control. */
export const face: Face = {
  begin() {
    addStyles(css);
    listen();
    on("change", () => {
      rest();
      // It went with the button pressed, unless the visitor has moved on.
      if (document.activeElement === document.body) returnFocus();
    });
    if (isDue()) rest();
  },
  tend: () => stay(listen),
  // What merely stays can come last.
  complete: () => layer ?? rest(),
  open,
};
