/** Types of `window.consentService`, the one global the embedded script adds to a page. */

/** Purpose key (`analytics`) to allowed or not. */
export type Choices = Record<string, boolean>;

/** What the gate said about one purpose. */
export interface GateDecision {
  allow: boolean;
  /** Why: `granted`, `refused`, `no_choice`, `gpc`, … */
  reason: string;
}

/** Events of {@link ConsentService.on} and what listeners are given. */
export interface ConsentServiceEvents {
  /** A choice was recorded on this page; loaders stop what is no longer allowed. */
  change: { choices: Choices };
  /** The gate answered. */
  decision: { decisions: Record<string, GateDecision> };
  /** The banner or the preference centre came on screen. */
  shown: { surface: "banner" | "preferences" };
  /** Something failed; nothing was granted because of it. */
  error: { message: string };
}

export interface ConsentService {
  /** Resolves once the page was read: the banner is up if one is due, and gated tags have been put to the gate. */
  readonly ready: Promise<void>;
  /** The gate's last answer on this page, `false` when it was not asked yet. */
  allows(purpose: string): boolean;
  /** Asks the gate, at most once in `max_age` for the whole page. Never rejects; anything broken is `false`. */
  gate(purpose: string): Promise<boolean>;
  /** Opens the preference centre. */
  open(): void;
  /**
   * Records that every optional purpose is refused. From the call on, nothing is allowed on this page.
   * Never rejects: a failure to record is shown to the visitor and told through `error`.
   */
  withdraw(): Promise<void>;
  /** Listens to an event; the function returned stops listening. */
  on<Name extends keyof ConsentServiceEvents>(
    event: Name,
    listener: (detail: ConsentServiceEvents[Name]) => void,
  ): () => void;
}

declare global {
  var consentService: ConsentService;
}
