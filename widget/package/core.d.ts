/** The service without a banner, for pages that draw their own; safe to import on a server. */
import type { Configuration } from "../configuration.js";
import type { ConsentService } from "../consent-service.js";
import type { Behaviour } from "./behaviour.js";

export type * from "../configuration.js";
export type * from "../consent-service.js";

export interface CoreOptions extends Behaviour {
  /** Address of the service: `https://consent.example.com`. */
  service: string;
  site: string;
  /** One of the notice's languages; otherwise what the browser prefers counts. */
  language?: string;
  /** What `open()` does: shows the page's own choice of purposes. */
  open?: () => void;
}

/** `window.consentService`, and what a banner of the page's own has to know and to tell. */
export interface ConsentCore extends ConsentService {
  /** What to show: texts, purposes, languages. Another one once a newer notice has come or the language has changed. */
  readonly configuration: Configuration;
  /** Whether the visitor is to be asked: no choice stands, and nobody closed the banner a short while ago. */
  isDue(): boolean;
  /** To be called when the banner is closed with no choice made; it is then not due for as long as the region's rule says. */
  postpone(): void;
  /** Takes the configuration in another of its `languages` into use. Rejects where that fails, and changes nothing. */
  speak(language: string): Promise<void>;
}

/**
 * Takes up what the visitor chose, lets run what that allows, and becomes `window.consentService`; the bindings follow
 * it too. There is one on a page: a second call for the same site gives the first one's promise, one for another site
 * rejects, as it does where the service's script is on the page.
 *
 * Also rejects where the service gives no configuration, and on a server: then nothing is allowed, and there is nothing
 * to ask. The next call tries again.
 */
export function createConsent(options: CoreOptions): Promise<ConsentCore>;
