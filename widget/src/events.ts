import type { ConsentServiceEvents as Events } from "../consent-service";
import { tag } from "./config";

// The browser's own: a listener that throws is reported as the page's fault, and stops neither the others nor the widget.
const target = new EventTarget();

/** Listens to an event; the function returned stops listening. */
export function on<Name extends keyof Events>(name: Name, listener: (detail: Events[Name]) => void): () => void {
  const heard = (event: Event): void => listener((event as CustomEvent<Events[Name]>).detail);
  target.addEventListener(name, heard);
  return () => target.removeEventListener(name, heard);
}

/** Tells the listeners, and the console where the site asks for that. */
export function emit<Name extends keyof Events>(name: Name, detail: Events[Name]): void {
  if ("debug" in tag.dataset) console.info("consent-service:", name, detail);
  target.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Reports a failure of the widget's own: a warning, and the `error` event. */
export function failed(error: unknown): void {
  const message = String(error);
  console.warn("consent-service:", message);
  emit("error", { message });
}
