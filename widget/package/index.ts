/** Puts the service's script on a page, from a bundle; safe to import and to call on a server. */
import type { ConsentService, Queued } from "../consent-service.js";
import type { Behaviour } from "./behaviour.js";
import { attributesOf } from "./behaviour.js";
import { arrived, follow } from "./live.js";

export type * from "../consent-service.js";

/** Which service, for which site. */
export interface LoadOptions extends Behaviour {
  /** Address of the service: `https://consent.example.com`. */
  service: string;
  site: string;
  /** Path or address of the script, where it is not `/embed/SITE.js`. */
  src?: string;
  /** What the script at `src` must hash to. */
  integrity?: string;
  /** The page's nonce. */
  nonce?: string;
}

/** Stands in where there is no service: nothing is allowed. */
const denying: ConsentService = {
  ready: Promise.resolve(),
  choices: undefined,
  allows: () => false,
  gate: async () => false,
  open() {},
  async withdraw() {},
  async decide() {},
  push() {},
  async link() {},
  on: () => () => {},
};

let loading: Promise<ConsentService> | undefined;

/** The one global. Until the script has run it is not there, or stands for what the page has pushed. */
const page = globalThis as { consentService?: ConsentService | Queued[] };

function present(): ConsentService | undefined {
  return Array.isArray(page.consentService) ? undefined : page.consentService;
}

function insert(src: string, options: LoadOptions): HTMLScriptElement {
  const { site, src: named, integrity, nonce } = options;
  const script = document.createElement("script");
  script.src = src;
  script.async = true;
  if (named) script.dataset["site"] = site;
  if (nonce) script.nonce = nonce;
  Object.assign(script.dataset, attributesOf(options));
  if (integrity) {
    script.integrity = integrity;
    script.crossOrigin = "anonymous";
  }
  document.head.append(script);
  return script;
}

/** Resolves once the script has run, or will not. */
function finished(options: LoadOptions): Promise<unknown> {
  const { href } = new URL(options.src ?? `/embed/${options.site}.js`, options.service);
  const own = [...document.scripts].find(({ src }) => src === href);
  return new Promise((done) => {
    // A page that is complete has run its own tag, or failed to: one more try.
    const script = own && document.readyState !== "complete" ? own : insert(href, options);
    script.addEventListener("load", done);
    script.addEventListener("error", done);
    // The page's own may have failed before anybody listened.
    if (script === own) window.addEventListener("load", done);
  });
}

async function embed(options: LoadOptions): Promise<ConsentService> {
  try {
    if (!present()) await finished(options);
  } catch (error) {
    console.warn("consent-service:", String(error));
  }
  const service = present() ?? denying;
  if (service === denying) console.warn("consent-service: the script did not run; nothing is allowed");
  follow(service);
  return service;
}

/**
 * Puts the service's script on the page, once however often it is called; a tag with the same address that came with
 * the page is taken over. Never rejects: where the script is blocked or broken, and on a server, it resolves to a
 * service that denies everything.
 */
export function load(options: LoadOptions): Promise<ConsentService> {
  if (typeof document === "undefined") return Promise.resolve(denying);
  return (loading ??= embed(options));
}

/** `push` of the service, which may be called before its script is there. */
export function push(...items: Queued[]): void {
  if (typeof document === "undefined") return;
  const { title, referrer } = document;
  // The script, when it comes, would take down the page as it is by then.
  const view = { url: location.href, referrer, title, time: Date.now() };
  const held = items.map(([purpose, callback]): Queued => [purpose, () => callback(view)]);
  (page.consentService ??= []).push(...held);
}

/** Opens the preference centre, once there is one. */
export function open(): void {
  void arrived.then((service) => service.open());
}

/** Records that every optional purpose is refused; from the call on, nothing is allowed on this page. */
export async function withdraw(): Promise<void> {
  await (await arrived).withdraw();
}
