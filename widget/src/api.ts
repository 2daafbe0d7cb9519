import type { Choices, GateDecision } from "../consent-service";
import type { Configuration } from "./config";
import { config, optionalKeys, tag } from "./config";
import type { ConsentRecord } from "./store";
import { store, stored, TOKEN } from "./store";

/** Where a decision was made. */
export type Surface = "banner" | "preferences" | "embed";

/** What the visitor did. */
export type Action = "accept_all" | "reject_all" | "save" | "withdraw";

/** One decision, in the words of the service. */
export interface Decision {
  choices: Choices;
  action: Action;
  surface: Surface;
  /** Milliseconds from the banner's showing to the choice. */
  after_ms: number | undefined;
}

/** What came of recording: a record, or the newer notice that has to be shown first. */
export interface Recorded {
  record?: ConsentRecord;
  token: string;
  banner: Configuration;
}

export interface GateAnswer {
  decisions: Record<string, GateDecision>;
  /** Seconds. */
  max_age: number;
}

export const TIMEOUT = 8000;
const RETRIES = 2;
const TOKEN_HEADER = "X-Consent-Token";

/** The browser's opt-out signal, as scripts see it: extensions may set this and not the header. */
export const signal = (): boolean => !!navigator.globalPrivacyControl;

/**
 * Calls the service with the visitor's token. Rejects where it gives no answer, or not the one wished for.
 *
 * @param body - what to POST, again if need be; without one the call is a GET
 * @param options - of a call that is to be different, and made once only
 */
export async function call<Answer>(path: string, body?: object, options?: RequestInit): Promise<Answer> {
  const token = stored(TOKEN) as string | undefined;
  const headers = {
    ...(token && { [TOKEN_HEADER]: token }),
    ...(body && {
      "Content-Type": "application/json",
      // The same on every retry, so that one decision is stored once however often it is sent.
      "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-"),
    }),
  };
  for (let retries = body && !options ? RETRIES : 0; ; retries--) {
    const response = await fetch(new URL(path, tag.src), {
      // Without one, it is GET.
      method: (body && "POST")!,
      // Of nothing, this is nothing.
      body: JSON.stringify(body),
      headers,
      credentials: "include",
      // A visitor who leaves the page at once is still heard.
      keepalive: true,
      // Older browsers wait for as long as the network does; nothing is granted meanwhile.
      signal: AbortSignal.timeout?.(TIMEOUT),
      ...options,
    }).catch((error: unknown) => {
      if (!retries) throw error;
    });
    if (response && (response.status < 500 || !retries)) {
      const renewed = response.headers.get(TOKEN_HEADER);
      if (renewed && stored(TOKEN)) store(TOKEN, renewed);
      // A notice that has changed comes as a conflict.
      if (!response.ok && response.status !== 409) throw new Error(`HTTP ${response.status}`);
      return (await response.json()) as Answer;
    }
    await new Promise((done) => setTimeout(done, 1000 / retries));
  }
}

/** Fetches the configuration in another language. */
export const fetchConfig = (language: string): Promise<Configuration> =>
  call(`/v1/sites/${config.site}/banner?lang=${language}&gpc=${+signal()}`);

/** Asks the gate about every optional purpose. */
export const askGate = (): Promise<GateAnswer> =>
  call(`/v1/gate?site=${config.site}&gpc=${+signal()}&purpose=${optionalKeys().join("&purpose=")}`);

/** What is on the screen. */
export function asShown(): Pick<Configuration, "notice_version" | "language"> & { gpc: boolean } {
  const { notice_version, language } = config;
  return { notice_version, language, gpc: signal() };
}

/** Records a decision. */
export const record = (decision: Decision): Promise<Recorded> =>
  call(`/v1/sites/${config.site}/consents`, { ...decision, ...asShown() });

