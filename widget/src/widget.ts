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
import { tell } from "./tell";
import type { Layer } from "./view";
import { draw, drawn, layer, root, say, setBusy, stay, status } from "./view";

let opener: Element | null = null;

/**
 * Shows a layer that asks.
 *
 * @param choices - the boxes to tick in the preference centre, where not those ticked there now, or else those that stand
 */
async function show(next: Layer, choices?: Choices): Promise<void> {
  if (next === "preferences") draw(next, (await more()).buildPreferences(root, choices));
  else rest();
}

/** Shows what stands on the page while nobody is in the preference centre. */
function rest(): void {
  if (isDue()) {
    draw("banner", buildBanner());
    tell("shown");
  } else draw("reopen", buildReopen());
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
  show("preferences", choices).then(() => tell("preferences_opened"), complain);
}

/** Leaves a layer with nothing decided. From the banner, it stays away for as long as the region's rule says. */
function close(): void {
  if (layer === "reopen") return;
  if (layer === "banner") {
    postpone();
    emit("dismissed", {});
    tell("dismissed");
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
  if (outcome !== false) return say(texts.error, "alert");
  await show(surface);
  focusOn(root.querySelector("h2"));
  say(texts.notice_changed, "alert");
}

/** What is done about the page's events, by type; `isOwn` says whether it happened in the widget. */
const handlers: Record<string, (target: HTMLSelectElement, isOwn: boolean, event: Event) => void> = {
  click(target, isOwn, event) {
    const control = target.closest?.("[data-consent-open]");
    const value = isOwn && target.tagName === "BUTTON" ? (target.value as Press) : control && "choose";
    if (control) event.preventDefault();
    if (value === "close") close();
    else if (value === "language") more().then((rest) => rest.offerLanguages(target), complain);
    else if (value === "choose" || value === "reopen") open(control ?? target);
    else if (value) void press(value);
  },
  change(target, isOwn) {
    // The boxes have no id: only the choice of language acts at once.
    if (isOwn && target.id) switchLanguage(target.value).catch(complain);
  },
  focusin(target, isOwn) {
    if (!isOwn && layer === "banner") more().then((rest) => rest.uncover(target, drawn!), failed);
  },
  close(_, isOwn) {
    if (isOwn) close();
  },
  keydown(_, isOwn, event) {
    // In the preference centre, Escape closes by itself.
    if (isOwn && layer === "banner" && (event as KeyboardEvent).key === "Escape") close();
  },
};

function heard(event: Event): void {
  const target = event.target as HTMLSelectElement;
  handlers[event.type]!(target, root.contains(target), event);
}

function listen(): void {
  // Not all of them bubble.
  for (const type in handlers) addEventListener(type, heard, true);
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
