import { failed } from "./events";
import { allows, refresh } from "./gate";

const GATED = 'script[type="text/plain"][data-consent]';

let policy: ScriptPolicy | undefined;
let previous: Promise<unknown> | undefined;

/** Made only when a gated script has to run: pages that list their policies need not list this one otherwise. */
function trusted(): ScriptPolicy {
  // The page itself tagged these scripts, so they are taken as they are.
  const asIs = (text: string): string => text;
  const rules = { createScript: asIs, createScriptURL: asIs };
  return (policy = policy ?? window.trustedTypes?.createPolicy("consent-service", rules) ?? rules);
}

/** Puts a script that runs in the place of one that does not. */
function activate(gated: HTMLScriptElement): void {
  const script = document.createElement("script");
  for (const { name, value } of gated.attributes) {
    if (name !== "src" && name !== "type") script.setAttribute(name, value);
  }
  script.type = gated.dataset["type"] ?? "";
  script.nonce = gated.nonce;
  // A script made by a script is async unless told otherwise, and would run in any order.
  script.async = gated.hasAttribute("async");
  const src = gated.getAttribute("src");
  if (src === null) {
    script.text = trusted().createScript(gated.text);
  } else {
    script.src = trusted().createScriptURL(src);
    const done = new Promise((resolve) => {
      script.onload = script.onerror = resolve;
    });
    if (!script.async) previous = done;
  }
  gated.replaceWith(script);
}

/** Puts the tagged scripts on the page to the gate and runs those allowed, in the order of the page. */
export async function runScripts(): Promise<void> {
  if (!document.querySelector(GATED)) return;
  await refresh();
  for (const script of document.querySelectorAll<HTMLScriptElement>(GATED)) {
    try {
      // External scripts keep their order by themselves; an inline one has to wait for those before it.
      if (!script.hasAttribute("src")) await previous;
      if (script.isConnected && allows(script.dataset["consent"]!)) activate(script);
    } catch (error) {
      failed(error);
    }
  }
}

/** From now on, does the same whenever the page adds one. */
export function watchScripts(): void {
  const isGated = (node: Node): boolean =>
    node instanceof Element && (node.matches(GATED) || !!node.querySelector(GATED));
  new MutationObserver((changes) => {
    if (changes.some(({ addedNodes }) => [...addedNodes].some(isGated))) void runScripts();
  }).observe(document, { childList: true, subtree: true });
}
