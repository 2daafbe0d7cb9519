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

/** Kept here only when the service stands on a foreign host, whose cookies this page does not see. */
interface Entry {
  token: string;
  /** Like the value of the readable cookie. */
  choices: string;
}

/** Holds the entry for this page where localStorage is blocked. */
let memory: Entry | undefined;

function readCookie(): string {
  return attempt(() => document.cookie.split(`${config.cookie}_choices=`)[1]!.split(";")[0]) ?? "";
}

function readEntry(): Entry | undefined {
  return attempt(() => JSON.parse(localStorage.getItem(config.cookie)!) as Entry) ?? memory;
}

function writeEntry(entry: Entry): void {
  memory = entry;
  attempt(() => localStorage.setItem(config.cookie, JSON.stringify(entry)));
}

/** Parts of `1~notice~expires~record~gpc~purpose:1~purpose:0`, empty where nothing usable is kept. */
function readParts(): string[] {
  const parts = (readCookie() || (readEntry()?.choices ?? "")).split("~");
  return parts[0] === "1" ? parts : [];
}

/** Whether a choice was made, but under a notice that said something else. */
export function isOutdated(): boolean {
  return +readParts()[1]! < config.material_version;
}

/** The choices that stand: not expired, and made under a notice that still says the same. */
export function standing(): Choices | undefined {
  const [, notice, expires, , , ...pairs] = readParts();
  const stands = +notice! >= config.material_version && +expires! * 1000 > Date.now();
  return stands ? Object.fromEntries(pairs.map((pair) => [pair.slice(0, -2), pair.endsWith(":1")])) : undefined;
}

/** Whether the visitor allows anything now. */
export function hasGranted(): boolean {
  return Object.values(standing() ?? {}).includes(true);
}

/** The visitor's token, where the widget has to keep it itself. */
export function heldToken(): string | undefined {
  return readEntry()?.token;
}

/** Puts a renewed token in the place of the one held here. */
export function renew(token: string): void {
  const entry = readEntry();
  if (entry) writeEntry({ ...entry, token });
}

/** Keeps a choice just recorded, unless the cookie the service set with it has arrived. */
export function keep({ notice_version, expires_at, id, gpc, choices }: ConsentRecord, token: string): void {
  if (readCookie().includes(id)) {
    memory = undefined;
    attempt(() => localStorage.removeItem(config.cookie));
  } else {
    const pairs = optionalKeys().map((key) => `${key}:${choices[key] ? 1 : 0}`);
    const expires = Math.floor(Date.parse(expires_at) / 1000);
    writeEntry({ token, choices: [1, notice_version, expires, id, +gpc, ...pairs].join("~") });
  }
}
