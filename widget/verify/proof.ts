/** C2SP's tlog-proof with its checkpoint, in the one form that receipts have; and RFC 9162's inclusion. */
import { type Bytes, equal, fromBase64, HASH_BYTES, sha256 } from "./bytes";
import { Refused } from "./json";

const SIGNATURE = /^\u2014 ([!-*,-~]+) ([A-Za-z0-9+/]+={0,2})$/;

export interface NoteSignature {
  readonly name: string;
  readonly id: Bytes;
  readonly value: Bytes;
}

export interface Proof {
  readonly index: number;
  readonly hashes: readonly Bytes[];
  /** What is signed of the checkpoint. */
  readonly text: string;
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
  readonly signatures: readonly NoteSignature[];
}

export function readProof(text: string): Proof {
  const [head, signed, under, ...more] = text.split("\n\n");
  const [version, index, ...hashes] = head!.split("\n");
  const [origin, size, root, ...further] = (signed ?? "").split("\n");
  const lines = (under ?? "").split("\n");
  const isWhole = !more.length && !further.length && origin && lines.pop() === "" && lines.length;
  if (!isWhole || version !== "c2sp.org/tlog-proof@v1" || !index?.startsWith("index ")) throw refused();
  return {
    index: readNumber(index.slice("index ".length)),
    hashes: hashes.map(readHash),
    text: `${signed}\n`,
    origin,
    size: readNumber(size!),
    root: readHash(root!),
    signatures: lines.map(readSignature),
  };
}

function refused(): Refused {
  return new Refused("not_a_proof");
}

function readNumber(text: string | undefined): number {
  const number = /^(?:0|[1-9][0-9]{0,15})$/.test(text ?? "") ? Number(text) : NaN;
  if (!Number.isSafeInteger(number)) throw refused();
  return number;
}

function readHash(text: string | undefined): Bytes {
  const hash = fromBase64(text ?? "");
  if (hash?.length !== HASH_BYTES) throw refused();
  return hash;
}

function readSignature(line: string): NoteSignature {
  const [, name, encoded] = SIGNATURE.exec(line) ?? [];
  const bytes = fromBase64(encoded ?? "");
  if (!name || !bytes || bytes.length < 5) throw refused();
  return { name, id: bytes.slice(0, 4), value: bytes.slice(4) };
}

/** Says whether an entry is in the tree of the checkpoint (RFC 9162, section 2.1.3.2). */
export async function isIncluded(entry: Bytes, { index, size, hashes, root }: Proof): Promise<boolean> {
  // Up to 53 bits: too many for shifts, which have 32.
  const half = (number: number) => Math.floor(number / 2);
  let number = index;
  let last = size - 1;
  let found = await sha256([0], entry);
  for (const hash of hashes) {
    if (!last) return false;
    if (number % 2 || number === last) {
      found = await sha256([1], hash, found);
      for (; number && !(number % 2); last = half(last)) number = half(number);
    } else {
      found = await sha256([1], found, hash);
    }
    number = half(number);
    last = half(last);
  }
  return !last && equal(found, root);
}
