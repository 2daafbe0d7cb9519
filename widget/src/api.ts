import type { Choices, GateDecision } from "../consent-service";
import type { Configuration } from "./config";
import { config, optionalKeys } from "./config";
import type { ConsentRecord } from "./store";
import { heldToken, renew } from "./store";

/** Where a decision was made. */
export type Surface = "banner" | "preferences";

/** What the visitor did. */
export type Action = "accept_all" | "reject_all" | "save" | "withdraw";

/** One decision, in the words of the service. */
export interface Decision {
  choices: Choices;
  action: Action;
  notice_version: number;
  language: string;
  surface: Surface;
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

const TIMEOUT = 8000;
const RETRIES = 2;
const TOKEN_HEADER = "X-Consent-Token";

// Read while the script first runs, the only time the browser tells it.
const own = (document.currentScript ??
  document.querySelector(`script[src*="/embed/${config.site}"]`)) as HTMLScriptElement | null;

/** The page's nonce, where it gave the script one. */
export const nonce = own?.nonce;

function send(path: string, init?: RequestInit, headers: Record<string, string> = {}): Promise<Response> {
  const token = heldToken();
  if (token) headers[TOKEN_HEADER] = token;
  // Older browsers wait for as long as the network does; nothing is granted meanwhile.
  const signal = AbortSignal.timeout?.(TIMEOUT) ?? null;
  return fetch(new URL(path, own?.src), { ...init, headers, signal, credentials: "include" });
}

/** The body of an answer; rejects where it is not the one wished for. */
async function read<Body>(response: Response, also?: number): Promise<Body> {
  if (!response.ok && response.status !== also) throw new Error("HTTP " + response.status);
  return (await response.json()) as Body;
}

/** Fetches the configuration in another language. */
export async function fetchConfig(language: string): Promise<Configuration> {
  return read(await send(`/v1/sites/${config.site}/banner?lang=${language}`));
}

/** Asks the gate about every optional purpose. */
export async function askGate(): Promise<GateAnswer> {
  const query = optionalKeys().map((key) => `&purpose=${key}`);
  const response = await send(`/v1/gate?site=${config.site}${query.join("")}`);
  const renewed = response.headers.get(TOKEN_HEADER);
  if (renewed) renew(renewed);
  const { decisions, max_age } = await read<GateAnswer>(response);
  return { decisions: { ...decisions }, max_age };
}

/** Records a decision, again if need be. */
export async function record(decision: Decision): Promise<Recorded> {
  const headers = {
    "Content-Type": "application/json",
    // The same on every retry, so that one decision is stored once however often it is sent.
    "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-"),
  };
  // Kept alive: a visitor who leaves the page at once is still heard.
  const init = { method: "POST", body: JSON.stringify(decision), keepalive: true };
  for (let retry = 0; ; retry++) {
    const last = retry === RETRIES;
    const response = await send(`/v1/sites/${config.site}/consents`, init, headers).catch((error: unknown) => {
      if (last) throw error;
    });
    if (response && (response.status < 500 || last)) return read(response, 409);
    await new Promise((resolve) => setTimeout(resolve, 500 << retry));
  }
}
