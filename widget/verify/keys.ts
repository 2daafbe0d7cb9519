/** The public keys that receipts are checked with, in each form that they are published in. */
import { type Bytes, equal, fromBase64, fromBase64url, HASH_BYTES, join, sha256, toBase64url, utf8 } from "./bytes";
import { isObject, type Json, type JsonObject, readJson, Refused } from "./json";

const ED25519 = "Ed25519";
/** What signed notes call kinds of keys by. */
const NOTE = 1;
const COSIGNATURE = 4;

export interface PublicKey {
  readonly publicKey: Bytes;
  /** Whether somebody else may have had it. */
  readonly compromised: boolean;
  /** The logs whose checkpoints it signs; undefined for a key that signs for any. */
  readonly logs: readonly string[] | undefined;
}

/** A key by which a signed note knows who signed. */
export interface NoteKey {
  readonly name: string;
  readonly id: Bytes;
  readonly publicKey: Bytes;
}

/** What was given as keys holds none that could be used. */
export class KeysRefused extends Error {}

export class PublicKeys {
  private readonly byId = new Map<string, PublicKey>();
  private readonly renamed = new Set<string>();

  /** Returns a key by its id. Throws {@link Refused} when there is none, or it is not the one its id says it is. */
  find(id: string): PublicKey {
    if (this.renamed.has(id)) throw new Refused("renamed_key", id);
    const found = this.byId.get(id);
    if (!found) throw new Refused("unknown_key", id);
    return found;
  }

  entries(): Iterable<[string, PublicKey]> {
    return this.byId;
  }

  /** Adds what a file holds: a JWK Set, one JWK, or lines as C2SP's signed-note writes keys. */
  async add(file: Uint8Array): Promise<this> {
    const text = new TextDecoder().decode(file).trim();
    if (text.startsWith("{")) await this.addJwks(readKeyFile(file));
    else for (const line of text.split(/\s+/)) await this.addNoteKey(line);
    if (!this.byId.size && !this.renamed.size) throw new KeysRefused();
    return this;
  }

  private async addJwks(document: Json): Promise<void> {
    const listed = isObject(document) ? document["keys"] : undefined;
    for (const jwk of Array.isArray(listed) ? listed : [document]) {
      if (isObject(jwk)) await this.addJwk(jwk);
    }
  }

  private async addJwk(jwk: JsonObject): Promise<void> {
    const publicKey = fromBase64url(jwk["x"]);
    const isSigning = jwk["kty"] === "OKP" && jwk["crv"] === ED25519 && jwk["alg"] === ED25519;
    if (!isSigning || ("use" in jwk && jwk["use"] !== "sig") || publicKey?.length !== HASH_BYTES) return;
    const id = await thumbprint(publicKey);
    const kid = "kid" in jwk ? jwk["kid"] : id;
    const revoked = jwk["revoked"] ?? null;
    const lost = isObject(revoked) && revoked["reason"] === "lost";
    if (kid === id) this.set(id, { publicKey, compromised: revoked !== null && !lost, logs: undefined });
    else if (typeof kid === "string") this.renamed.add(kid);
  }

  private async addNoteKey(line: string): Promise<void> {
    const { name, publicKey } = await readNoteKey(line, NOTE);
    this.set(await thumbprint(publicKey), { publicKey, compromised: false, logs: [name] });
  }

  /** Of a key that is there twice all counts that is said. */
  private set(id: string, key: PublicKey): void {
    const known = this.byId.get(id);
    this.byId.set(id, {
      publicKey: key.publicKey,
      compromised: key.compromised || !!known?.compromised,
      logs: known ? known.logs && key.logs && [...known.logs, ...key.logs] : key.logs,
    });
  }
}

function readKeyFile(file: Uint8Array): Json {
  try {
    return readJson(file);
  } catch (error) {
    throw new KeysRefused(String(error));
  }
}

export async function readWitness(text: string): Promise<NoteKey> {
  return readNoteKey(text, COSIGNATURE);
}

async function readNoteKey(text: string, kind: number): Promise<NoteKey> {
  const [, name, hex, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.*)$/.exec(text) ?? [];
  const bytes = fromBase64(encoded ?? "");
  if (!name || bytes?.length !== 1 + HASH_BYTES || bytes[0] !== kind) throw new KeysRefused(text);
  const key = await noteKey(name, kind, bytes.slice(1));
  if (!equal(key.id, Uint8Array.from(hex!.match(/../g)!, (it) => parseInt(it, 16)))) throw new KeysRefused(text);
  return key;
}

async function noteKey(name: string, kind: number, publicKey: Bytes): Promise<NoteKey> {
  return { name, publicKey, id: (await sha256(utf8(name), [0x0a, kind], publicKey)).slice(0, 4) };
}

/** Returns the key as the one of a log. */
export function logKey(origin: string, key: PublicKey): Promise<NoteKey> {
  return noteKey(origin, NOTE, key.publicKey);
}

/** Returns the thumbprint (RFC 7638) of an Ed25519 key. */
async function thumbprint(publicKey: Bytes): Promise<string> {
  const members = `{"crv":"Ed25519","kty":"OKP","x":"${toBase64url(publicKey)}"}`;
  return toBase64url(await sha256(join(utf8(members))));
}
