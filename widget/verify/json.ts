/**
 * Reads JSON as strictly as docs/verifying.md says, and writes it in canonical form (RFC 8785).
 *
 * `JSON.parse` would let a name stand twice and take 1.0 for 1, so that two readers could see two different things in
 * one file.
 */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [name: string]: Json };

/** A check failed. `code` is as docs/verifying.md lists them; `detail` says where or what. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    readonly detail = "",
  ) {
    super(`${code} ${detail}`);
  }
}

const MAX_BYTES = 1 << 20;
const MAX_DEPTH = 32;

const SPACE = /[ \t\n\r]*/y;
const INTEGER = /(?:0|-?[1-9][0-9]{0,15})/y;
const WORD = /true|false|null/y;
// Lower-case: else two files that differ in one bit would say the same.
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-f]{4})/y;
// With the flag, halves that belong together are one character.
const LONE_SURROGATE = /[\ud800-\udfff]/u;
const WORDS: Record<string, Json> = { true: true, false: false, null: null };

/** Reads one value. Objects have no prototype. Throws {@link Refused}. */
export function readJson(bytes: Uint8Array): Json {
  if (bytes.length > MAX_BYTES) throw new Refused("too_large");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused("not_utf8");
  }
  let at = 0;

  const fail = (): never => {
    throw new Refused("not_json", `${at}`);
  };

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  }

  function take(character: string): boolean {
    match(SPACE);
    if (text[at] !== character) return false;
    at++;
    return true;
  }

  function readString(): string {
    if (!take('"')) fail();
    const begin = at - 1;
    while (text[at] !== '"') {
      if (at >= text.length || text[at]! < " ") fail();
      if (text[at] !== "\\") at++;
      else if (!match(ESCAPE)) fail();
    }
    const found = JSON.parse(text.slice(begin, ++at)) as string;
    return LONE_SURROGATE.test(found) ? fail() : found;
  }

  function readList(depth: number): Json[] {
    const list: Json[] = [];
    if (take("]")) return list;
    do list.push(read(depth));
    while (take(","));
    return take("]") ? list : fail();
  }

  function readObject(depth: number): JsonObject {
    const object = Object.create(null) as JsonObject;
    if (take("}")) return object;
    do {
      const name = readString();
      if (name in object) throw new Refused("duplicate_key", name);
      if (!take(":")) fail();
      object[name] = read(depth);
    } while (take(","));
    return take("}") ? object : fail();
  }

  function read(depth: number): Json {
    match(SPACE);
    const begin = text[at];
    if (begin === '"') return readString();
    if (begin === "{" || begin === "[") {
      if (depth === MAX_DEPTH) fail();
      at++;
      return begin === "{" ? readObject(depth + 1) : readList(depth + 1);
    }
    const word = match(WORD);
    if (word) return WORDS[word]!;
    const number = Number(match(INTEGER) ?? fail());
    return Number.isSafeInteger(number) ? number : fail();
  }

  const value = read(0);
  match(SPACE);
  return at === text.length ? value : fail();
}

/** Writes the canonical form of what {@link readJson} read. Strings compare by UTF-16, as RFC 8785 wants it. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name]!)}`).join()}}`;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
