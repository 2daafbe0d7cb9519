import { config, purposeOf, purposes, texts } from "../config";
import { el, focusOn } from "../dom";
import { isSignalled, signalNote } from "../layer";
import type { Core } from ".";

/** What addresses are held back in: `data-src` becomes `src`. */
const ADDRESSES = ["src", "srcset", "href", "poster"];

const placeholders = new Map<Element, HTMLElement>();
/** What stands on the page for a template. */
const copies = new Map<Element, ChildNode[]>();

/** Lets a template's content stand on the page; its scripts become gated ones, so that they too run in order. */
function unfold(template: HTMLTemplateElement): void {
  const content = document.importNode(template.content, true);
  for (const script of content.querySelectorAll("script")) {
    if (script.type === "text/plain") continue;
    script.dataset["consent"] = purposeOf(template);
    script.dataset["type"] = script.type;
    script.type = "text/plain";
  }
  copies.set(template, [...content.childNodes]);
  template.after(content);
}

function grant(element: HTMLElement): void {
  for (const name of ADDRESSES) {
    const address = element.dataset[name];
    if (address) element.setAttribute(name, address);
  }
  if (element instanceof HTMLTemplateElement) unfold(element);
  const placeholder = placeholders.get(element);
  const hadFocus = placeholder?.contains(document.activeElement);
  placeholder?.remove();
  if (hadFocus) focusOn(element);
}

function deny(element: HTMLElement): void {
  for (const name of ADDRESSES) {
    if (!element.dataset[name] || !element.hasAttribute(name)) continue;
    element.removeAttribute(name);
    // What a frame has loaded goes on until it leaves the page, if only for a moment.
    element.parentNode!.insertBefore(element, element.nextSibling);
  }
  copies.get(element)?.forEach((node) => node.remove());
}

function press(text: string, action: () => void): HTMLElement {
  const button = el("button", { type: "button" }, text);
  button.onclick = action;
  return button;
}

/** Stands where something would be that the visitor has not allowed, says so, and offers both ways to see it. */
function build(element: HTMLElement, purpose: string, name: string, { decide, open, standing }: Core): HTMLElement {
  const always = (): void => {
    const choices = standing();
    // Whoever has answered nothing yet is asked about everything, this purpose ticked as they wished.
    if (choices) void decide({ ...choices, [purpose]: true }, "save", "embed");
    else open?.(null, { [purpose]: true });
  };
  const once = (): void => {
    // At the visitor's request, and for as long as the page lives: nobody decides about it any more.
    element.removeAttribute("data-consent");
    element.removeAttribute("data-consent-service");
    grant(element);
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
  element.before(placeholder);
}
