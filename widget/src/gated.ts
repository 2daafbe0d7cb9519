import { purposeOf } from "./config";
import { el } from "./dom";
import { emit, failed } from "./events";
import { allows, refresh } from "./gate";
import { more } from "./load-more";

const TAGGED = ":is([data-consent],[data-consent-service]):not(script:not([type$=plain]))";

/** What was last decided about an element. */
const states = new WeakMap<Element, boolean>();

let policy: ScriptPolicy | undefined;
let previous: Promise<unknown> | undefined;

/** Made only when a gated script has to run: pages that list their policies need not list this one otherwise. */
function trusted(): ScriptPolicy {
  // The page itself tagged these scripts, so they are taken as they are.
  const asIs = (text: string): string => text;
  const rules = { createScript: asIs, createScriptURL: asIs };
  return (policy ??= window.trustedTypes?.createPolicy("consent-service", rules) ?? rules);
}

const isScript = (element: Element): element is HTMLScriptElement => element instanceof HTMLScriptElement;

/** Puts a script that runs in the place of one that does not. */
function activate(gated: HTMLScriptElement): void {
  // No clone: one of what came by `innerHTML` would never run either.
  const script = el("script", {});
  for (const { name, value } of gated.attributes) if (name !== "src") script.setAttribute(name, value);
  // Browsers hide it from the attributes.
  script.nonce = gated.nonce;
  script.type = gated.dataset["type"] ?? "";
  // A script made by a script is async unless told otherwise, and would run in any order.
  script.async = gated.hasAttribute("async");
  if (gated.src) script.src = trusted().createScriptURL(gated.src);
  else script.text = trusted().createScript(gated.text);
  // One for old browsers never tells that it is done.
  if (gated.src && !script.async && !script.noModule) {
    previous = new Promise((resolve) => {
      script.onload = script.onerror = resolve;
    });
  }
  gated.replaceWith(script);
}

function judge(element: HTMLElement, turn: (element: HTMLElement, allowed: boolean) => void): void {
  const purpose = purposeOf(element);
  const allowed = allows(purpose);
  if (!element.isConnected || states.get(element) === allowed) return;
  states.set(element, allowed);
  try {
    turn(element, allowed);
  } catch (error) {
    failed(error);
  }
  emit(allowed ? "released" : "blocked", { purpose, element });
}

/** Puts what is tagged on the page to the gate: what is allowed runs, in the order of the page, and the rest rests. */
export async function run(): Promise<void> {
  const elements = [...document.querySelectorAll<HTMLElement>(TAGGED)];
  // Before the markup has been read to its end, the text of a tag may be there only in part.
  if (!elements[0] || document.readyState === "loading") return;
  await refresh();
  const others = elements.filter((element) => !isScript(element));
  // Pages that have only scripts never fetch what shows and hides the rest.
  if (others[0]) more().then(({ turn }) => others.forEach((element) => judge(element, turn))).catch(failed);
  for (const script of elements.filter(isScript)) {
    // External ones keep their order by themselves; an inline one has to wait for those before it.
    if (!script.hasAttribute("src")) await previous;
    judge(script, (_, allowed) => allowed && activate(script));
  }
}

/**
 * From now on, does the same whenever the page adds or tags something.
 *
 * @param tend - called with every change of the page
 */
export function watch(tend?: () => void): void {
  const isTagged = (node: Node): unknown =>
    node instanceof Element && (node.matches(TAGGED) || node.querySelector(TAGGED));
  new MutationObserver((changes) => {
    tend?.();
    if (changes.some(({ attributeName, addedNodes }) => attributeName || [...addedNodes].some(isTagged))) void run();
  }).observe(document, {
    childList: true,
    subtree: true,
    attributeFilter: ["data-consent", "data-consent-service"],
  });
}
