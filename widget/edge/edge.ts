/**
 * Decides by an edge token, without asking the service: for workers at a CDN's edge, Node 20 and later, Deno and Bun.
 * Needs Web Crypto with Ed25519 and `DecompressionStream`, and no package.
 *
 * `verify` is given all that it needs; `createEdge` fetches the public keys and the status lists, and keeps them.
 * Whatever is missing, broken, late or not understood denies every purpose. `consent_service/gate/edge_verifier.py` is
 * the same for Python, and `tests/vectors/edge.json` holds both to the same answers.
 */

const ALGORITHM = "Ed25519";
const TOKEN_TYPE = "consent-gate+jwt";
const LIST_TYPE = "statuslist+jwt";

/** Seconds: no token may say that it counts for longer. */
const LONGEST_SECONDS = 3600;

/** Seconds for which a list is believed at the most, and may be kept at the least and most. */
const OLDEST_LIST_SECONDS = 60;
const KEEP_SECONDS = { least: 1, most: 60 };

/** Bytes of a list when it is unpacked: 2**20 places of 8 bits. */
const LARGEST_LIST = 1 << 20;

/** Characters of a token, and of a signed list. */
const LONGEST_TOKEN = 16_384;
const LONGEST_LIST = 2 * LARGEST_LIST;

type Json = { readonly [name: string]: unknown };

/** A JWK Set, as the service has it at `/.well-known/jwks.json`. */
export interface Keys {
  readonly keys: readonly object[];
}

/** What may run. `failure` is null, or a word for why nothing may. */
export interface Verdict {
  readonly decisions: { readonly [purpose: string]: boolean };
  readonly failure: string | null;
}

/** What the verdict depends on. */
export interface Circumstances {
  /** The service's address (`CONSENT_PUBLIC_URL`). */
  readonly issuer: string;
  /** The site's key. */
  readonly audience: string;
  readonly keys: Keys;
  /** The signed list at `statusListUri`; null if it cannot be had. */
  readonly statusList: string | null;
  /** Seconds since 1970. */
  readonly now: number;
  /** Whether the request says `Sec-GPC: 1`; what was decided without the signal does not count then. */
  readonly gpc?: boolean;
  /** Seconds by which the clocks may differ: 5 unless given. */
  readonly skew?: number;
}

/** The token does not count; the message says why. */
class Refused extends Error {}

const refuse = (reason: string): never => {
  throw new Refused(reason);
};

/** Says which purposes may run. Never rejects. */
export async function verify(token: string | null | undefined, circumstances: Circumstances): Promise<Verdict> {
  const { issuer, audience, keys, statusList, now, gpc = false, skew = 5 } = circumstances;
  try {
    const claims = await opened(token, TOKEN_TYPE, keys, LONGEST_TOKEN);
    const decisions = checkedToken(claims, issuer, audience, now, skew);
    const [place, uri] = reference(claims);
    await checkStatus(statusList, place, uri, keys, now, skew);
    if (gpc && claims["gpc"] !== true) refuse("gpc");
    return { decisions, failure: null };
  } catch (error) {
    return { decisions: {}, failure: error instanceof Refused ? error.message : "broken" };
  }
}

/** Says whether a purpose may run; one that the token does not speak of may not. */
export const allows = ({ decisions }: Verdict, purpose: string): boolean =>
  Object.hasOwn(decisions, purpose) && decisions[purpose] === true;

/**
 * Gives where the token's status list is, or null if it names none of this service.
 *
 * Nothing is verified yet: ask no other host than the issuer, whatever a token says.
 */
export function statusListUri(token: string | null | undefined, issuer: string): string | null {
  try {
    const [, uri] = reference(json(parts(token, LONGEST_TOKEN)[1]));
    return uri.startsWith(`${issuer}/v1/gate/status/`) ? uri : null;
  } catch {
    return null;
  }
}

/**
 * Gives for how many seconds after it was fetched a status list may be kept: its `ttl`.
 *
 * Within sane bounds, whatever it says. The list is not verified here, but by `verify`.
 */
export function keepSeconds(statusList: string): number {
  const { least, most } = KEEP_SECONDS;
  try {
    const ttl = json(parts(statusList, LONGEST_LIST)[1])["ttl"];
    return isNumber(ttl) ? Math.max(least, Math.min(most, ttl)) : least;
  } catch {
    return least;
  }
}

/**
 * Gives the status at a place of a list: 0 is valid. Null if the list is broken or shorter.
 *
 * @param packed `lst`: zlib (RFC 1950) in base64url
 * @param bits how many each place has: 1, 2, 4 or 8, the lowest of a byte first
 */
export async function statusAt(packed: string, bits: number, place: number): Promise<number | null> {
  try {
    return status(await unpacked(packed), bits, place);
  } catch {
    return null;
  }
}

function checkedToken(claims: Json, issuer: string, audience: string, now: number, skew: number) {
  const { iat, exp, decisions } = claims;
  if (!(isNumber(iat) && isNumber(exp) && isObject(decisions))) return refuse("malformed");
  if (exp < iat || exp - iat > LONGEST_SECONDS) refuse("malformed");
  if (claims["iss"] !== issuer) refuse("wrong_issuer");
  if (claims["aud"] !== audience) refuse("wrong_audience");
  if (iat > now + skew) refuse("not_yet_valid");
  if (now >= exp + skew) refuse("expired");
  return Object.fromEntries(Object.entries(decisions).map(([key, said]) => [key, isAllowed(said)]));
}

function isAllowed(said: unknown): boolean {
  const allow = isObject(said) ? said["allow"] : undefined;
  return typeof allow === "boolean" ? allow : refuse("malformed");
}

/** Gives a token's place in its list, and where that is (draft-ietf-oauth-status-list-20, section 6.2). */
function reference(claims: Json): [number, string] {
  const said = isObject(claims["status"]) ? claims["status"]["status_list"] : undefined;
  if (!isObject(said)) return refuse("malformed");
  const { idx, uri } = said;
  return isNumber(idx) && typeof uri === "string" ? [idx, uri] : refuse("malformed");
}

/** Checks that a list says of this place that its token counts (the draft, section 8.3). */
async function checkStatus(
  list: string | null,
  place: number,
  uri: string,
  keys: Keys,
  now: number,
  skew: number,
): Promise<void> {
  const claims = await opened(list, LIST_TYPE, keys, LONGEST_LIST).catch((error: unknown) =>
    error instanceof Refused ? refuse(`list_${error.message}`) : Promise.reject(error),
  );
  if (claims["sub"] !== uri) refuse("list_wrong_subject");
  checkListTimes(claims, now, skew);
  const { bits, lst } = isObject(claims["status_list"]) ? claims["status_list"] : {};
  if (!(isNumber(bits) && [1, 2, 4, 8].includes(bits) && typeof lst === "string")) return refuse("list_malformed");
  if (status(await unpacked(lst), bits, place) !== 0) refuse("revoked");
}

function checkListTimes(claims: Json, now: number, skew: number): void {
  const { iat, exp, ttl } = claims;
  // exp and ttl need not be there; what is must be right.
  const right = [exp, ttl].every((each) => each === undefined || each === null || isNumber(each));
  if (!(isNumber(iat) && right)) return refuse("list_malformed");
  if (iat > now + skew) refuse("list_not_yet_valid");
  const oldest = iat + OLDEST_LIST_SECONDS;
  if (now >= Math.min(oldest, isNumber(exp) ? exp : oldest) + skew) refuse("list_expired");
}

function status(bytes: Uint8Array, bits: number, place: number): number {
  const at = place * bits;
  const byte = bytes[Math.floor(at / 8)] ?? refuse("list_out_of_range");
  return (byte >> at % 8) & ((1 << bits) - 1);
}

/** Unpacks a list, and no more of it than a list may have. */
async function unpacked(packed: string): Promise<Uint8Array> {
  try {
    const compressed = decoded(packed);
    const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      length += value.length;
      if (length > LARGEST_LIST) {
        void reader.cancel().catch(() => {});
        return refuse("list_broken");
      }
    }
    const list = new Uint8Array(await new Blob(pieces).arrayBuffer());
    // Not every decompressor minds what stands behind the end, which is a checksum.
    return adler32(list) === new DataView(compressed.buffer).getUint32(compressed.length - 4)
      ? list
      : refuse("list_broken");
  } catch {
    return refuse("list_broken");
  }
}

/** Gives the checksum that ends a zlib stream (RFC 1950, section 8.2). */
function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}

/** Gives what a JWT says whose signature is right (RFC 7515, section 5.2). */
async function opened(signed: string | null | undefined, kind: string, keys: Keys, longest: number): Promise<Json> {
  const [head, body, signature] = parts(signed, longest);
  const header = json(head);
  if (header["alg"] !== ALGORITHM) refuse("wrong_algorithm");
  if (header["typ"] !== kind) refuse("wrong_type");
  if ("crit" in header) refuse("malformed");
  const key = await publicKey(keys, header["kid"]);
  const right = await crypto.subtle.verify(ALGORITHM, key, decoded(signature), encoder.encode(`${head}.${body}`));
  return right ? json(body) : refuse("wrong_signature");
}

/** Gives the one public key of this id; none that was revoked or is for anything else. */
async function publicKey({ keys }: Keys, id: unknown): Promise<CryptoKey> {
  const named: unknown[] = Array.isArray(keys) && typeof id === "string" ? keys : [];
  const found = named.filter((key): key is Json => isObject(key) && key["kid"] === id);
  const [key] = found;
  if (!key || found.length > 1) return refuse("unknown_key");
  if ((key["revoked"] ?? null) !== null) refuse("revoked_key");
  const { kty, crv, alg, use, x } = key;
  const fits = kty === "OKP" && crv === "Ed25519" && [ALGORITHM, undefined, null].includes(alg as never);
  if (!(fits && ["sig", undefined, null].includes(use as never) && typeof x === "string")) return refuse("unknown_key");
  try {
    return await crypto.subtle.importKey("raw", decoded(x), ALGORITHM, false, ["verify"]);
  } catch {
    return refuse("unknown_key");
  }
}

function parts(signed: string | null | undefined, longest: number): [string, string, string] {
  if (!signed) return refuse("missing");
  const [head, body, signature, ...more] = signed.length <= longest ? signed.split(".") : [];
  if (head === undefined || body === undefined || signature === undefined || more.length) return refuse("malformed");
  return [head, body, signature];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes base64url without padding; there is one way to write each value (RFC 4648). */
function decoded(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return refuse("malformed");
  const plain = text.replaceAll("-", "+").replaceAll("_", "/");
  const binary = atob(plain);
  if (btoa(binary).replaceAll("=", "") !== plain) refuse("malformed");
  return Uint8Array.from(binary, (sign) => sign.charCodeAt(0));
}

/** Reads an object in which no name stands twice. */
function json(part: string): Json {
  try {
    const text = decoder.decode(decoded(part));
    const value: unknown = JSON.parse(text);
    return isObject(value) && isUnique(text) ? value : refuse("malformed");
  } catch {
    return refuse("malformed");
  }
}

/** Says whether no object in a valid JSON text has a name twice; `JSON.parse` takes the last one and says nothing. */
function isUnique(text: string): boolean {
  const open: (Set<string> | null)[] = [];
  for (const [sign, isName] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}[\]]/g)) {
    if (sign === "{") open.push(new Set());
    else if (sign === "[") open.push(null);
    else if (sign === "}" || sign === "]") open.pop();
    else if (isName) {
      const names = open.at(-1);
      const read = JSON.parse(sign.slice(0, -isName.length)) as string;
      if (names?.has(read)) return false;
      names?.add(read);
    }
  }
  return true;
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Says whether it is a whole number that is not negative, and exact. */
const isNumber = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Which service and site an edge decides for. */
export interface EdgeOptions {
  /** The service's address (`CONSENT_PUBLIC_URL`). */
  readonly service: string;
  /** The site's key. */
  readonly site: string;
  /** How to fetch: `fetch` unless given. */
  readonly fetch?: (address: string) => Promise<Response>;
  /** Seconds since 1970: the clock's unless given. */
  readonly now?: () => number;
}

/** Decides requests of one site. */
export interface Edge {
  /** Says which purposes may run for whoever sent this token. Never rejects. */
  decide(token: string | null | undefined, options?: { readonly gpc?: boolean }): Promise<Verdict>;
}

/** Seconds for which keys are kept: a new one is published a minute before it signs. */
const KEYS_SECONDS = 30;

/** Milliseconds that the service has to answer. */
const PATIENCE = 2000;

/** Status lists that are kept at once. */
const LISTS = 100;

/**
 * Keeps what was fetched for its time, and a failure for a second.
 *
 * Values and no promises: a worker must not wait for what another request of its has begun.
 */
class Kept<Value> {
  readonly #entries = new Map<string, { value: Value | null; until: number }>();

  constructor(
    private readonly load: (address: string) => Promise<Value>,
    private readonly seconds: (value: Value) => number,
    private readonly now: () => number,
  ) {}

  async get(address: string): Promise<Value | null> {
    const now = this.now();
    const kept = this.#entries.get(address);
    if (kept && now < kept.until) return kept.value;
    const value = await this.load(address).catch(() => null);
    this.#entries.delete(address);
    this.#entries.set(address, { value, until: now + (value === null ? 1 : this.seconds(value)) });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > LISTS && oldest !== undefined) this.#entries.delete(oldest);
    return value;
  }
}

/** Makes what decides by itself: it fetches keys and status lists of the service alone, and keeps them for their time. */
export function createEdge(options: EdgeOptions): Edge {
  const { service, site, now = () => Date.now() / 1000 } = options;
  // A redirect is no answer: nothing is asked of another host.
  const ask =
    options.fetch ?? ((address) => fetch(address, { signal: AbortSignal.timeout(PATIENCE), redirect: "manual" }));
  const get = async (address: string): Promise<Response> => {
    const response = await ask(address);
    return response.ok ? response : Promise.reject(new Error(`${address} answers ${response.status}`));
  };
  const jwks = `${service}/.well-known/jwks.json`;
  const keys = new Kept(async (address) => (await (await get(address)).json()) as Keys, () => KEYS_SECONDS, now);
  const lists = new Kept(async (address) => (await get(address)).text(), keepSeconds, now);

  return {
    async decide(token, { gpc = false } = {}) {
      const known = (await keys.get(jwks)) ?? { keys: [] };
      const judge = (statusList: string | null): Promise<Verdict> =>
        verify(token, { issuer: service, audience: site, keys: known, statusList, now: now(), gpc });
      const verdict = await judge(null);
      // Nothing is fetched for a token that the service did not sign.
      const uri = verdict.failure === "list_missing" ? statusListUri(token, service) : null;
      return uri === null ? verdict : judge(await lists.get(uri));
    },
  };
}
