import { config } from "./config";
import { el, focusOn } from "./dom";
import { emit, failed } from "./events";
import { note } from "./layer";
import { more } from "./load-more";
import { isOutdated, known } from "./store";

/** What stands on the page: always exactly one of these. */
export type Layer = "banner" | "preferences" | "reopen";

/** A screen reader has to have met the empty line before the words come. */
const ANNOUNCE_DELAY = 100;

const statusLine = el("div", { role: "status" });

/** The one element the widget adds to the page. */
export const root = el("div", { id: "csvc-root" }, statusLine);

/** The layer now on the page, or to be there once the page has a body. */
export let layer: Layer | undefined;

export let drawn: HTMLElement | undefined;

function place(): void {
  // The keyboard meets what waits for an answer first, and what merely stays last.
  document.body?.[layer === "banner" ? "prepend" : "append"](root);
  if (drawn instanceof HTMLDialogElement) {
    drawn.open = false;
    drawn.showModal();
    focusOn(drawn.querySelector("h2"));
  }
}

/** Puts a layer in the place of the one on the page. */
export function draw(next: Layer, built: HTMLElement): void {
  const isNew = layer !== next;
  const { language, direction, theme } = config;
  root.lang = language;
  root.dir = direction;
  if (theme.accent) {
    root.style.setProperty("--csvc-accent", theme.accent);
    root.style.setProperty("--csvc-on-accent", theme.on_accent!);
  }
  drawn?.remove();
  layer = next;
  root.prepend((drawn = built));
  place();
  if (isOutdated()) more().then((rest) => say(rest.whatChanged(known)), failed);
  if (isNew && next !== "reopen") emit("shown", { surface: next });
}

/**
 * Puts the root on the page once there is a body, and again where it is thrown out, by accident or with all the body.
 *
 * @param listen - has the page's events heard again: `document.write` forgets who listens
 */
export function stay(listen: () => void): void {
  if (!root.isConnected) {
    // At once, as a layer that is drawn meanwhile puts it back, too.
    listen();
    // At most once a frame: something may throw it out each time.
    requestAnimationFrame(() => {
      if (root.isConnected) return;
      // A copy, in a page that was kept as one.
      document.querySelector("#csvc-root")?.remove();
      place();
    });
  }
}


/** Marks the layer as waiting. Its buttons are not disabled, which would take the focus away from the one pressed. */
export function setBusy(busy: boolean): void {
  drawn?.setAttribute("aria-busy", String(busy));
}

/** Says that something is done, without taking the focus. It goes from view by itself. */
export function status(text: string): void {
  setTimeout(() => statusLine.replaceChildren(el("span", {}, text)), ANNOUNCE_DELAY);
}

/** Says something beside the buttons; `alert` where it answers what the visitor just did. */
export function say(text: string, role?: "alert"): void {
  const actions = root.querySelector(".csvc-actions");
  root.querySelector(".csvc-actions p")?.remove();
  if (actions) actions.prepend(note(text, role));
  else status(text);
}
