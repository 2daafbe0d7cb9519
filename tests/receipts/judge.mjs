// Judges the cases on standard input, [{file, keys, witnesses}] in base64 and text, by the module that is named.
import { readFileSync } from "node:fs";

const { KeysRefused, PublicKeys, readWitness, verify } = await import(process.argv[2]);
const text = new TextEncoder();
const known = new Map();

async function readKeys(files) {
  const name = JSON.stringify(files);
  if (!known.has(name)) {
    const keys = new PublicKeys();
    for (const file of files) await keys.add(text.encode(file));
    known.set(name, keys);
  }
  return known.get(name);
}

async function judge({ file, keys, witnesses }) {
  try {
    const asked = await Promise.all(witnesses.map(readWitness));
    return await verify(new Uint8Array(Buffer.from(file, "base64")), await readKeys(keys), asked);
  } catch (error) {
    if (!(error instanceof KeysRefused)) throw error;
    return { kind: "no keys" };
  }
}

const verdicts = [];
for (const each of JSON.parse(readFileSync(0, "utf8"))) verdicts.push(await judge(each));
const plain = (_, value) => (typeof value === "bigint" ? String(value) : value);
process.stdout.write(JSON.stringify(verdicts, plain));
