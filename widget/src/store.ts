import type { Choices } from "../consent-service";
import { config, optionalKeys } from "./config";
import { attempt } from "./dom";

/** What the widget uses of a record. */
export interface ConsentRecord {
  id: string;
  notice_version: number;
  expires_at: string;
  gpc: boolean;
  /** Every purpose, essential ones too: this is what counts, not what was sent. */
  choices: Choices;
}

/** `1~notice~expires~record~gpc~purpose:1~purpose:0`, as it was when last looked at; reading it takes its time. */
export let known = "";
/** Stands in for this page where no cookie is kept. */
let memory = "";
/** Under the cookie's own name: the token, where the service is on a foreign host, whose cookies no browser keeps. */
export const TOKEN = "";

/** What localStorage does not keep, for this page. */
const unkept: Record<string, unknown> = {};

export function readCookie(name: string): string {
  return attempt(() => document.cookie.split(`${config.cookie}_${name}=`)[1]?.split(";")[0]) ?? "";
}

function writeCookie(name: string, value: unknown, seconds: number): void {
  attempt(() => {
    document.cookie = `${config.cookie}_${name}=${value};path=/;max-age=${seconds}`;
  });
}

/** Whether what is kept has changed since this was last asked, by this tab or another. */
export function hasChanged(): boolean {
  return known !== (known = memory || readCookie("choices"));
}

/** Whether a choice was made, but under a notice that said something else. */
export function isOutdated(): boolean {
  return config.material_version > +known.split("~")[1]!;
}

/** The choices that stand: not expired, and made under a notice that still says the same. */
export function standing(): Choices | undefined {
  const [version, notice, expires, , , ...pairs] = known.split("~");
  const stands = version === "1" && +notice! >= config.material_version && Date.now() < +expires! * 1000;
  return stands ? Object.fromEntries(pairs.map((pair) => [pair.slice(0, -2), pair.endsWith(":1")])) : undefined;
}

/** Whether the visitor allows anything now. */
export function hasGranted(): boolean {
  return Object.values({ ...standing() }).includes(true);
}

/** What the browser keeps under the cookie's name and this. */
export function stored(name: string): unknown {
  return unkept[name] ?? attempt(() => localStorage[config.cookie + name] as unknown);
}

/** Has the browser keep something, or else this page. */
export function store(name: string, value: unknown): void {
  unkept[name] = value;
  attempt(() => {
    localStorage[config.cookie + name] = value;
    delete unkept[name];
  });
}

/** Keeps a choice just recorded, unless the cookie the service set with it has arrived. */
export function keep({ notice_version, expires_at, id, gpc, choices }: ConsentRecord, token: string): void {
  // Where a token is held, the cookie is the widget's own.
  if (!stored(TOKEN) && readCookie("choices").includes(id)) return;
  const pairs = optionalKeys().map((key) => `${key}:${choices[key] ? 1 : 0}`);
  const expires = Math.floor(Date.parse(expires_at) / 1000);
  memory = [1, notice_version, expires, id, +gpc, ...pairs].join("~");
  writeCookie("choices", memory, Math.floor(expires - Date.now() / 1000));
  if (readCookie("choices") === memory) memory = "";
  store(TOKEN, token);
}

/** Remembers that the banner was closed with no choice made, for as long as the region's rule says. */
export function postpone(): void {
  writeCookie("closed", config.material_version, config.reask_days * 86400);
}

/** Whether the banner waits for a choice: none stands, and it was not closed under this notice a short while ago. */
export function isDue(): boolean {
  return +readCookie("closed") < config.material_version && !standing();
}
