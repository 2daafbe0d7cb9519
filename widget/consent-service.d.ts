/** Types of `window.consentService`, the one global the embedded script adds to a page. */

/** Purpose key (`analytics`) to allowed or not. */
export type Choices = Record<string, boolean>;

/** What the gate said about one purpose. */
export interface GateDecision {
  allow: boolean;
  /** Why: `granted`, `refused`, `no_choice`, `gpc`, … */
  reason: string;
}

/** The page as it was when something was queued. */
export interface PageView {
  url: string;
  referrer: string;
  title: string;
  /** Milliseconds since 1970. */
  time: number;
}

/** A purpose, and what to do once it is allowed. */
export type Queued = [purpose: string, callback: (view: PageView) => void];

/** Events of {@link ConsentService.on} and what listeners are given. */
export interface ConsentServiceEvents {
  /** The choices that stand have changed, here or in another tab; loaders stop what is no longer allowed. */
  change: { choices: Choices };
  /** The visitor has decided: what they refuse is denied from here on. `change` follows once that is recorded. */
  deciding: { choices: Choices };
  /** The gate is being asked. */
  asked: { purposes: string[] };
  /** The gate answered. */
  decision: { decisions: Record<string, GateDecision> };
  /** A tagged element rests, because its purpose is not allowed. */
  blocked: { purpose: string; element: HTMLElement };
  /** It runs or is shown. */
  released: { purpose: string; element: HTMLElement };
  /** The banner or the preference centre came on screen. */
  shown: { surface: "banner" | "preferences" };
  /** The banner was closed with no choice made. */
  dismissed: Record<string, never>;
  /** Something failed; nothing was granted because of it. */
  error: { message: string };
}

export interface ConsentService {
  /** Resolves once the page was read: the banner is up if one is due, and tagged elements have been put to the gate. */
  readonly ready: Promise<void>;
  /** The choices that stand, one for each optional purpose; `undefined` where there are none. What may run, the gate says. */
  readonly choices: Choices | undefined;
  /** The gate's last answer on this page, `false` when it was not asked yet. */
  allows(purpose: string): boolean;
  /** Asks the gate, at most once in `max_age` for the whole page. Never rejects; anything broken is `false`. */
  gate(purpose: string): Promise<boolean>;
  /** Opens the preference centre. */
  open(): void;
  /**
   * Records what the visitor chose on a surface of the page's own; every optional purpose needs an answer. Never
   * rejects; resolves to `true` once it is recorded, to `false` where a newer notice has to be shown first (`open()`),
   * and to `undefined` where it failed.
   */
  decide(
    choices: Choices,
    action?: "accept_all" | "reject_all" | "save" | "withdraw",
    surface?: "banner" | "preferences",
  ): Promise<boolean | void>;
  /**
   * Records that every optional purpose is refused. From the call on, nothing is allowed on this page.
   * Never rejects: a failure to record is shown to the visitor and told through `error`.
   */
  withdraw(): Promise<void>;
  /**
   * Holds something back until its purpose is allowed, then calls it with the page as it was now; drops it once the
   * visitor refuses. Before the script has loaded, `(window.consentService ||= []).push([purpose, callback])` does the
   * same, with the page as it is once the script has loaded.
   */
  push(...items: Queued[]): void;
  /**
   * Ties the visitor to a user who is signed in to the site, by a token that the site's server signed: a choice made
   * here counts wherever the user signs in, and theirs counts here. Never rejects; resolves to whether there is a
   * choice that is tied, and to `undefined` where that failed.
   */
  link(userToken: string): Promise<boolean | void>;
  /** Listens to an event; the function returned stops listening. */
  on<Name extends keyof ConsentServiceEvents>(
    event: Name,
    listener: (detail: ConsentServiceEvents[Name]) => void,
  ): () => void;
}

declare global {
  var consentService: ConsentService;
}
