/**
 * Checks a receipt without the service: from the file and the public keys alone.
 *
 * A module without dependencies, for browsers and Node.js. docs/verifying.md says what each step checks:
 *
 *     import { PublicKeys, verify } from "./verify.js";
 *     const keys = await new PublicKeys().add(bytesOfJwks);
 *     const verdict = await verify(bytesOfReceipt, keys);
 */
import { type Bytes, equal, fromBase64url, HASH_BYTES, sha256, toHex, utf8, verifies } from "./bytes";
import { canonical, isObject, type Json, type JsonObject, readJson, Refused } from "./json";
import { logKey, type NoteKey, type PublicKey, type PublicKeys } from "./keys";
import { isIncluded, type NoteSignature, type Proof, readProof } from "./proof";

export { isAble } from "./bytes";
export { readJson } from "./json";
export { KeysRefused, type NoteKey, PublicKeys, readWitness } from "./keys";

export const STEPS = [
  "file",
  "receipt_signature",
  "record_signature",
  "commitment",
  "proof",
  "inclusion",
  "checkpoint_signature",
] as const;
export type StepId = (typeof STEPS)[number];

export interface Step {
  id: StepId;
  state: "passed" | "failed" | "not_reached";
  /** Of the reason, where it failed. */
  code?: string;
  /** Which key, member or name it is about. */
  detail?: string;
}

export interface Verdict {
  /** `signed`: all but the ledger, which has not taken it yet. `erased`: an erasure is proven. */
  kind: "proven" | "signed" | "erased" | "refused";
  steps: Step[];
  /** The record or the tombstone, unless the file is refused: nothing in it is to be believed then. */
  document?: JsonObject;
  entry?: string;
  ledger?: { origin: string; leaf_index: number; size: number };
  /** When each witness that was asked after cosigned, in seconds since 1970. */
  witnesses: { name: string; at: bigint | null }[];
  /** Cosignatures of others. */
  unknown_witnesses: number;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/;
const COMMITMENT = /^[0-9a-f]{64}$/;

/** Checks a receipt. No witness is required; those given are looked for. */
export async function verify(
  file: Uint8Array,
  keys: PublicKeys,
  witnesses: readonly NoteKey[] = [],
): Promise<Verdict> {
  const check = new Check(file, keys, witnesses);
  const steps: Step[] = [];
  for (const id of STEPS) {
    if (id === "proof" && check.receipt["proof"] === null) break;
    try {
      await check[id]();
      steps.push({ id, state: "passed" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      steps.push({ id, state: "failed", code: error.code, detail: error.detail });
      break;
    }
  }
  const reached = steps.length;
  const refused = steps[reached - 1]!.state === "failed";
  for (const id of STEPS.slice(reached)) steps.push({ id, state: "not_reached" });
  if (refused) return { kind: "refused", steps, witnesses: [], unknown_witnesses: 0 };
  const whole = reached === STEPS.length;
  return {
    kind: !whole ? "signed" : check.erased ? "erased" : "proven",
    steps,
    document: check.document,
    entry: toHex(check.entry),
    ...(whole && { ledger: check.position }),
    witnesses: check.cosigned,
    unknown_witnesses: check.unknown,
  };
}

class Check {
  receipt: JsonObject = {};
  entry: Bytes = new Uint8Array();
  cosigned: Verdict["witnesses"] = [];
  unknown = 0;
  private read: Proof | undefined;

  constructor(
    private readonly file_: Uint8Array,
    private readonly keys: PublicKeys,
    private readonly asked: readonly NoteKey[],
  ) {}

  get erased(): boolean {
    return this.receipt["type"] === "erasure_receipt";
  }

  get document(): JsonObject {
    return this.receipt[this.erased ? "tombstone" : "record"] as JsonObject;
  }

  get position(): NonNullable<Verdict["ledger"]> {
    const { origin, index, size } = this.read!;
    return { origin, leaf_index: index, size };
  }

  file(): void {
    this.receipt = readReceipt(this.file_);
  }

  async receipt_signature(): Promise<void> {
    const { receipt_signature: signature, ...rest } = this.receipt;
    const key = await this.signer(signature as JsonObject, rest);
    if (key.compromised) throw new Refused("compromised_key", key.id);
  }

  async record_signature(): Promise<void> {
    const key = await this.signer(this.receipt["signature"] as JsonObject, this.document);
    if (key.compromised && this.receipt["proof"] === null) throw new Refused("compromised_key", key.id);
  }

  private async signer(signature: JsonObject, signed: JsonObject): Promise<PublicKey & { id: string }> {
    const id = signature["key_id"] as string;
    const key = this.keys.find(id);
    const value = fromBase64url(signature["value"])!;
    if (!(await verifies(key.publicKey, canonical(signed), value))) throw new Refused("wrong_signature", id);
    return { ...key, id };
  }

  async commitment(): Promise<void> {
    const salt = fromBase64url(this.receipt["salt"])!;
    if (salt.length !== HASH_BYTES) throw new Refused("wrong_salt");
    this.entry = await sha256(salt, utf8(canonical(this.document)));
  }

  proof(): void {
    this.read = readProof(this.receipt["proof"] as string);
    const { origin, index, size } = this.read;
    const before = `consent-service/${this.document["tenant_id"]}/`;
    if (!origin.startsWith(before) || !/^[1-9][0-9]{0,8}$/.test(origin.slice(before.length)))
      throw new Refused("other_tenant", origin);
    if (index >= size) throw new Refused("index_too_large");
  }

  async inclusion(): Promise<void> {
    if (!(await isIncluded(this.entry, this.read!))) throw new Refused("not_included");
  }

  async checkpoint_signature(): Promise<void> {
    await this.lookForSigners(this.read!);
    await this.lookForWitnesses(this.read!);
  }

  private async lookForSigners({ origin, text, signatures }: Proof): Promise<void> {
    let signed = false;
    let compromised = false;
    for (const [id, key] of this.keys.entries()) {
      if (key.logs && !key.logs.includes(origin)) continue;
      for (const line of linesOf(await logKey(origin, key), signatures)) {
        if (key.compromised) compromised = true;
        else if (await verifies(key.publicKey, text, line.value)) signed = true;
        else throw new Refused("wrong_signature", id);
      }
    }
    if (!signed) throw new Refused(compromised ? "compromised_key" : "unknown_key");
  }

  private async lookForWitnesses({ origin, text, signatures }: Proof): Promise<void> {
    const others = new Set(
      signatures.filter(({ name }) => name !== origin).map(({ name, id }) => `${name} ${toHex(id)}`),
    );
    for (const key of this.asked) {
      let at: bigint | null = null;
      const lines = linesOf(key, signatures);
      for (const { value } of lines) {
        if (value.length < 8) continue;
        const time = new DataView(value.buffer, value.byteOffset).getBigUint64(0);
        const message = `cosignature/v1\ntime ${time}\n${text}`;
        if (at === null && (await verifies(key.publicKey, message, value.slice(8)))) at = time;
      }
      if (lines.length && at === null) throw new Refused("wrong_cosignature", key.name);
      this.cosigned.push({ name: key.name, at });
      others.delete(`${key.name} ${toHex(key.id)}`);
    }
    this.unknown = others.size;
  }
}

function linesOf(key: NoteKey, signatures: readonly NoteSignature[]): NoteSignature[] {
  return signatures.filter(({ name, id }) => name === key.name && equal(id, key.id));
}

// ---- What a file must look like

function readReceipt(file: Uint8Array): JsonObject {
  const receipt = readJson(file);
  if (!isObject(receipt) || !("receipt_version" in receipt)) throw new Refused("not_a_receipt");
  if (receipt["receipt_version"] !== 1) throw new Refused("unknown_version");
  const isErasure = receipt["type"] === "erasure_receipt";
  const [name, other] = isErasure ? ["tombstone", "record"] : ["record", "tombstone"];
  const forms: [string, boolean][] = [
    ["type", isErasure || receipt["type"] === "consent_receipt"],
    ["issued_at", matches(receipt, TIME, "issued_at")],
    [name!, isErasure ? isTombstone(receipt["tombstone"]) : isRecord(receipt["record"])],
    ["signature", isSignature(receipt["signature"])],
    ["salt", !!fromBase64url(receipt["salt"])],
    ["proof", receipt["proof"] === null || typeof receipt["proof"] === "string"],
    ["receipt_signature", isSignature(receipt["receipt_signature"])],
    [other!, !(other! in receipt)],
  ];
  const wrong = forms.find(([, isRight]) => !isRight);
  if (wrong) throw new Refused("wrong_form", wrong[0]);
  return receipt;
}

function isSignature(value: Json | undefined): boolean {
  return (
    isObject(value) &&
    Object.keys(value).sort().join() === "algorithm,key_id,value" &&
    value["algorithm"] === "Ed25519" &&
    fromBase64url(value["key_id"])?.length === HASH_BYTES &&
    fromBase64url(value["value"])?.length === 2 * HASH_BYTES
  );
}

function isRecord(value: Json | undefined): boolean {
  return (
    isObject(value) &&
    value["schema_version"] === 1 &&
    matches(value, UUID, "id", "tenant_id") &&
    matches(value, TIME, "created_at") &&
    matches(value, /[^]/, "site_key") &&
    isObject(value["choices"]) &&
    Object.values(value["choices"]).every((chosen) => typeof chosen === "boolean")
  );
}

function isTombstone(value: Json | undefined): boolean {
  return (
    isObject(value) &&
    value["schema_version"] === 1 &&
    value["type"] === "tombstone" &&
    matches(value, UUID, "record_id", "tenant_id") &&
    matches(value, TIME, "created_at", "erased_at") &&
    matches(value, COMMITMENT, "commitment") &&
    matches(value, /[^]/, "site_key", "reason")
  );
}

function matches(object: JsonObject, pattern: RegExp, ...names: string[]): boolean {
  return names.every((name) => {
    const value = object[name];
    return typeof value === "string" && pattern.test(value);
  });
}
