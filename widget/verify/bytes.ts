/** Bytes, their texts, hashes and signatures. */

/** Over a buffer of its own, as WebCrypto wants it. */
export type Bytes = Uint8Array<ArrayBuffer>;

export const HASH_BYTES = 32;

export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text) as Bytes;
}

export function join(...parts: ArrayLike<number>[]): Bytes {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

export function toBase64url(bytes: Uint8Array): string {
  return toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

/** Reads base64 with padding; undefined unless the text is the only right one for its bytes. */
export function fromBase64(text: string): Bytes | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  return btoa(binary) === text ? Uint8Array.from(binary, (it) => it.charCodeAt(0)) : undefined;
}

/** Reads base64url without padding; undefined unless the text is the only right one for its bytes. */
export function fromBase64url(text: unknown): Bytes | undefined {
  if (typeof text !== "string" || !/^[\w-]*$/.test(text)) return undefined;
  const padding = "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(text.replace(/-/g, "+").replace(/_/g, "/") + padding);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function sha256(...parts: ArrayLike<number>[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
}

/** Says whether an Ed25519 key made a signature. Throws where WebCrypto does not know Ed25519. */
export async function verifies(publicKey: Bytes, message: string, signature: Bytes): Promise<boolean> {
  const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, signature, utf8(message));
}

/** Says whether this browser can verify: it needs a secure page (https, or a file) and Ed25519. */
export async function isAble(): Promise<boolean> {
  try {
    // The base point is a key that every implementation takes.
    return !(await verifies(join([0x58], new Uint8Array(31).fill(0x66)), "", new Uint8Array(64)));
  } catch {
    return false;
  }
}
