/**
 * Builds what `npm pack` takes: the entries of the package with their types into dist/, and the licence. Compiled file
 * by file, so that all entries share one state and a bundler leaves out what a page does not use. Only `core`, which is
 * made of the widget's own files, comes as one. Fails when that is over its size budget (`sizeBudget` in package.json).
 */
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const COPIES = [
  // Svelte's components are compiled by the page's own build.
  ["package/Consent.svelte", "dist/Consent.svelte"],
  ["package/Consent.svelte.d.ts", "dist/Consent.svelte.d.ts"],
  ["package/core.d.ts", "dist/core.d.ts"],
  ["../LICENSE", "LICENSE"],
];

/** Puts in the place of `fetch-more.ts` what needs no fetching, and leaves to the other entries the state they share. */
const headless = {
  name: "headless",
  setup(build) {
    build.onResolve({ filter: /\/fetch-more$/ }, () => ({ path: path.join(here, "src/include-headless.ts") }));
    build.onResolve({ filter: /\/live$/ }, () => ({ path: "./live.js", external: true }));
  },
};

async function buildCore() {
  const { outputFiles } = await esbuild.build({
    entryPoints: [path.join(here, "src/headless.ts")],
    bundle: true,
    format: "esm",
    target: "es2020",
    charset: "utf8",
    plugins: [headless],
    write: false,
  });
  return outputFiles[0].text;
}

/** The core is published as it can be read; what counts is what a page's own build makes of it. */
async function checkSize(core) {
  const { code } = await esbuild.transform(core, { minify: true, format: "esm" });
  const size = brotliCompressSync(code).length;
  const budget = sizeBudget["core.js"];
  console.log(`core.js: ${Buffer.byteLength(code)} bytes, brotli ${size} (budget ${budget})`);
  if (size <= budget) return;
  console.error(`core.js is ${size - budget} bytes over its budget`);
  process.exitCode = 1;
}

const { sizeBudget } = JSON.parse(await readFile(path.join(here, "package.json"), "utf8"));
await rm(path.join(here, "dist"), { recursive: true, force: true });
await mkdir(path.join(here, "dist"));
for (const project of ["package", "edge"]) {
  const tsc = path.join(here, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-p", path.join(here, project)], { stdio: "inherit" });
}
await Promise.all(COPIES.map(([from, to]) => copyFile(path.join(here, from), path.join(here, to))));
const core = await buildCore();
await writeFile(path.join(here, "dist/core.js"), core);
await checkSize(core);
