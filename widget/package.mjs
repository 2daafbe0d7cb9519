/**
 * Builds what `npm pack` takes: the entries of the package with their types into dist/, and the licence. Compiled file
 * by file, so that all entries share one state and a bundler leaves out what a page does not use.
 */
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const COPIES = [
  // Svelte's components are compiled by the page's own build.
  ["package/Consent.svelte", "dist/Consent.svelte"],
  ["package/Consent.svelte.d.ts", "dist/Consent.svelte.d.ts"],
  ["../LICENSE", "LICENSE"],
];

await rm(path.join(here, "dist"), { recursive: true, force: true });
await mkdir(path.join(here, "dist"));
execFileSync(process.execPath, [path.join(here, "node_modules/typescript/bin/tsc"), "-p", path.join(here, "package")], {
  stdio: "inherit",
});
await Promise.all(COPIES.map(([from, to]) => copyFile(path.join(here, from), path.join(here, to))));
