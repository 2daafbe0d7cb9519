import { config, purposeOf, purposes, texts } from "../config";
import { el, focusOn } from "../dom";
import { isSignalled, signalNote } from "../layer";
import type { Core } from ".";

/** What addresses are held back in: `data-src` becomes `src`. */
const ADDRESSES = ["src", "srcset", "href", "poster", "data"];

const placeholders = new Map<HTMLElement, HTMLElement>();
/** Where on the page the copy of a template's content ends; it begins after the template. */
const ends = new Map<Element, Node>();

/** Lets a template's content stand on the page; its scripts become gated ones, so that they too run in order. */
function unfold(template: HTMLTemplateElement, purpose: string): void {
  const content = document.importNode(template.content, true);
  for (const script of content.querySelectorAll("script")) {
    if (script.type === "text/plain") continue;
    script.dataset["consent"] = purpose;
    script.dataset["type"] = script.type;
    script.type = "text/plain";
  }
  const end = document.createComment("");
  ends.set(template, end);
  template.after(content, end);
}

/** Takes the copy away again, with whatever has come into it. */
function fold(template: Element): void {
  const end = ends.get(template);
  if (end?.parentNode !== template.parentNode) return;
  const copy = new Range();
  copy.setStartAfter(template);
  copy.setEndAfter(end!);
  copy.deleteContents();
}

function grant(element: HTMLElement, purpose = purposeOf(element)): void {
  for (const name of ADDRESSES) {
    const address = element.dataset[name];
    if (address) element.setAttribute(name, address);
  }
  if (element instanceof HTMLTemplateElement) unfold(element, purpose);
  const placeholder = placeholders.get(element);
  const hadFocus = placeholder?.contains(document.activeElement);
  placeholder?.remove();
  placeholders.delete(element);
  if (hadFocus) focusOn(element);
}

function deny(element: HTMLElement): void {
  for (const name of ADDRESSES) {
    if (!element.dataset[name] || !element.hasAttribute(name)) continue;
    element.removeAttribute(name);
    // What a frame has loaded goes on until it leaves the page, if only for a moment.
    element.parentNode!.insertBefore(element, element.nextSibling);
    // A film goes on until it is told that it has none.
    if (element instanceof HTMLMediaElement) element.load();
  }
  fold(element);
}

function press(text: string, action: () => void): HTMLElement {
  const button = el("button", { type: "button" }, text);
  button.onclick = action;
  return button;
}

/** Stands where something would be that the visitor has not allowed, says so, and offers both ways to see it. */
function build(element: HTMLElement, purpose: string, name: string, { decide, open, standing }: Core): HTMLElement {
  const always = async (): Promise<void> => {
    const choices = standing();
    const wished = { ...choices, [purpose]: true };
    // Whoever has answered nothing yet is asked about everything, this purpose ticked as they wished; and so is whoever
    // cannot be heard in this way.
    if (!choices || !(await decide(wished, "save", "embed"))) open?.(undefined, wished);
  };
  const once = (): void => {
    // At the visitor's request, and for as long as the page lives: nobody decides about it any more.
    element.removeAttribute("data-consent");
    element.removeAttribute("data-consent-service");
    // The scripts in it are what the visitor asked for.
    grant(element, purposes.essential[0]?.key);
  };
  const { language, direction, gpc } = config;
  const placeholder = el(
    "div",
    { class: `csvc-embed ${element.className}` },
    el("b", {}, element.dataset["consentText"] ?? element.title),
    el(
      "div",
      { lang: language, dir: direction },
      el("p", {}, texts.embed_body.replace("{purpose}", () => name)),
      signalNote(),
      ...(isSignalled() && !gpc.overridable
        ? []
        : [press(texts.embed_once, once), press(texts.embed_always, always)]),
    ),
  );
  placeholder.style.cssText = element.style.cssText;
  for (const side of ["width", "height"] as const) {
    const length = element.getAttribute(side);
    if (length) placeholder.style[side] = /\D/.test(length) ? length : length + "px";
  }
  return placeholder;
}

const box = (element: Element): string => JSON.stringify(element.getBoundingClientRect());

/** Puts a placeholder where its element is, so that nothing moves when the one takes the place of the other. */
function place(element: HTMLElement, placeholder: HTMLElement): void {
  const { offsetWidth, offsetHeight } = element;
  const { display, position, inset, float, margin, verticalAlign } = getComputedStyle(element);
  const wanted = box(element);
  if (display !== "none") placeholder.style.display = display === "inline" ? "inline-flex" : "flex";
  element.before(placeholder);
  // Its own styles are not all that places an element. A picture that is not there is only as large as its words.
  if (!offsetWidth || element instanceof HTMLImageElement || box(placeholder) === wanted) return;
  const width = offsetWidth + "px";
  const height = offsetHeight + "px";
  Object.assign(placeholder.style, { position, inset, float, margin, verticalAlign, width, height });
}

/** Has the placeholders go where their elements go; made with the first of them, which no server has. */
let observer: MutationObserver | undefined;

function follow(): void {
  for (const [element, placeholder] of placeholders) {
    if (!element.isConnected) placeholder.remove();
    else if (placeholder.nextSibling !== element) element.before(placeholder);
  }
}

/**
 * Shows an element that is no script, or lets it rest. Frames get a placeholder, and so does whatever says in
 * `data-consent-text` what it would show.
 */
export function turn(element: HTMLElement, allowed: boolean, core: Core): void {
  if (allowed) return grant(element);
  deny(element);
  const key = purposeOf(element);
  const found = purposes.optional.find((purpose) => purpose.key === key);
  if (!core.open || !found || !(element instanceof HTMLIFrameElement || element.dataset["consentText"])) return;
  const placeholder = build(element, key, found.name, core);
  placeholders.set(element, placeholder);
  place(element, placeholder);
  observer ??= new MutationObserver(follow);
  observer.observe(document, { childList: true, subtree: true });
}
