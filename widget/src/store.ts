import type { Choices } from "../consent-service";
import { config, optionalKeys, tag } from "./config";
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

/** Holds the entry for this page where localStorage is blocked or full. */
let memory: Entry | undefined;
/** What was kept when it was last looked at. */
let known: string;

function readCookie(name: string): string {
  return attempt(() => document.cookie.split(`${config.cookie}_${name}=`)[1]?.split(";")[0]) ?? "";
}

function readEntry(): Entry | undefined {
  // Where the service's cookies arrive, there is nothing to look for, and looking would hold up the banner.
  if (memory || (origin.startsWith("https") && tag.src.startsWith(origin + "/"))) return memory;
  return attempt(() => JSON.parse(localStorage.getItem(config.cookie)!) as Entry);
}

function writeEntry(entry: Entry): void {
  memory = entry;
  attempt(() => {
    localStorage.setItem(config.cookie, JSON.stringify(entry));
    memory = undefined;
  });
}

function written(): string {
  return readCookie("choices") || (readEntry()?.choices ?? "");
}

/** Parts of `1~notice~expires~record~gpc~purpose:1~purpose:0`, empty where nothing usable is kept. */
function readParts(): string[] {
  const parts = written().split("~");
  return parts[0] === "1" ? parts : [];
}

/** Whether a choice was made, but under a notice that said something else. */
export function isOutdated(): boolean {
  return +readParts()[1]! < config.material_version;
}

/** Whether an earlier choice, still valid or not, answered for a purpose. */
export function hasAnswered(purpose: string): boolean {
  return written().includes(`~${purpose}:`);
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
  if (readCookie("choices").includes(id)) {
    memory = undefined;
    attempt(() => localStorage.removeItem(config.cookie));
  } else {
    const pairs = optionalKeys().map((key) => `${key}:${choices[key] ? 1 : 0}`);
    const expires = Math.floor(Date.parse(expires_at) / 1000);
    writeEntry({ token, choices: [1, notice_version, expires, id, +gpc, ...pairs].join("~") });
  }
}

/** Whether what is kept has changed since this was last asked, by this tab or another. */
export function hasChanged(): boolean {
  return known !== (known = written());
}

/** Remembers that the banner was closed with no choice made, for as long as the region's rule says. */
export function postpone(): void {
  const { cookie, material_version, reask_days } = config;
  attempt(() => {
    document.cookie = `${cookie}_closed=${material_version};path=/;max-age=${reask_days * 86400}`;
  });
}

/** Whether the banner waits for a choice: none stands, and it was not closed under this notice a short while ago. */
export function isDue(): boolean {
  return !standing() && +readCookie("closed") < config.material_version;
}
