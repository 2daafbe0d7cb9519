// Says what the JavaScript verifier says of what it reads: node edge.mjs VERIFIER <QUESTIONS, in JSON as tests/vectors/edge.json.
import { readFileSync } from "node:fs";

const { allows, keepSeconds, statusAt, statusListUri, verify } = await import(process.argv[2]);
const { issuer, audience, keys, cases, kept, uris, draft } = JSON.parse(readFileSync(0, "utf8"));

const verdicts = [];
for (const { token, status_list: statusList, now, gpc, skew } of cases) {
  const options = { issuer, audience, keys, statusList, now, gpc, ...(skew === undefined ? {} : { skew }) };
  const verdict = await verify(token, options);
  const agreed = Object.keys(verdict.decisions).every((key) => allows(verdict, key) === verdict.decisions[key]);
  if (!agreed || allows(verdict, "valueOf")) throw new Error("allows does not say what decisions say");
  verdicts.push(verdict);
}

const larger = [];
for (const { bits, lst, statuses } of draft.large) {
  const found = [];
  for (const [place] of statuses) found.push([place, await statusAt(lst, bits, place)]);
  larger.push([found, await statusAt(lst, bits, 1), await statusAt(lst, bits, 1 << 20)]);
}
const smaller = [];
for (const { bits, lst, bytes } of draft.small) {
  const places = (bytes.length / 2) * (8 / bits);
  smaller.push(await Promise.all(Array.from({ length: places + 1 }, (_, place) => statusAt(lst, bits, place))));
}

const said = {
  verdicts,
  kept: kept.map(({ status_list }) => keepSeconds(status_list)),
  uris: uris.map(({ token }) => statusListUri(token, issuer)),
  draft: { small: smaller, large: larger },
};
console.log(JSON.stringify(said));
