/**
 * Builds the widget, the console's charts and the verifier of receipts into the Python package, beside the other files
 * the package takes from npm. Fails when a script is over its size budget (`sizeBudget` in package.json).
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import esbuild from "esbuild";
import { minify } from "terser";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.join(here, "..", "consent_service");
const { resolve } = createRequire(import.meta.url);

const COPIES = [
  ["swagger-ui-dist/swagger-ui.css", "static/docs/swagger-ui.css"],
  ["swagger-ui-dist/swagger-ui-bundle.js", "static/docs/swagger-ui-bundle.js"],
  ["swagger-ui-dist/LICENSE", "static/docs/LICENSE"],
  ["swagger-ui-dist/NOTICE", "static/docs/NOTICE"],
  ["@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb", "regions/data/country.mmdb"],
  ["@ip-location-db/geo-whois-asn-country-mmdb/NRO_LICENSE", "regions/data/country.mmdb.LICENSE"],
];

/** Beside the script that they are of; their packages give only code out by name. */
const CHART_LICENSES = [
  ["chart.js/LICENSE.md", "console/static/charts/LICENSE.chart.js.md"],
  ["@kurkle/color/LICENSE.md", "console/static/charts/LICENSE.color.md"],
];

/** Imports a style sheet as a string, minified and lowered for the browsers in its target. */
const styleText = {
  name: "style-text",
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path: file }) => {
      const { code } = await esbuild.transform(await readFile(file, "utf8"), {
        loader: "css",
        minify: true,
        target: ["chrome90", "firefox90", "safari14.1"],
      });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

/** Leaves what `fetch-more.ts` would fetch in the one file. */
const wholeFile = {
  name: "whole-file",
  setup(build) {
    build.onResolve({ filter: /\/fetch-more$/ }, () => ({ path: path.join(here, "src/include-more.ts") }));
  },
};

/** Names that only the files of one build call each other by. Each gets a shorter one, the same in all of them. */
const OWN_NAMES = [
  ...["adopt", "begin", "buildPreferences", "complete", "deleteRefused", "fetchConfig", "follow", "offerLanguages"],
  ...["standing", "tend", "tickedChoices", "turn", "uncover", "whatChanged"],
];
let shorter = {};

/** esbuild puts the files together, terser makes the result smaller than esbuild alone does. */
async function bundle(entry, plugins = []) {
  // The server puts a function around the script, together with its constants, so it needs none of its own.
  const { outputFiles, mangleCache } = await esbuild.build({
    entryPoints: [path.join(here, "src", entry)],
    bundle: true,
    minifySyntax: true,
    format: "esm",
    target: "es2021",
    charset: "utf8",
    mangleProps: new RegExp(`^(${OWN_NAMES.join("|")})$`),
    mangleCache: shorter,
    plugins: [...plugins, styleText],
    write: false,
  });
  shorter = mangleCache;
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    ecma: 2020,
    compress: { passes: 4, unsafe: true, unsafe_arrows: true, hoist_funs: true, inline: 1, pure_getters: true },
  });
  return Buffer.from(code);
}

/** Nobody waits for the pages of the console and of the verifier on a slow phone, so esbuild does. */
async function bundlePage(entry, format = "iife") {
  const { outputFiles } = await esbuild.build({
    entryPoints: [path.join(here, entry)],
    bundle: true,
    minify: true,
    format,
    target: "es2020",
    charset: "utf8",
    legalComments: "eof",
    write: false,
  });
  return Buffer.from(outputFiles[0].contents);
}

async function write(relative, contents) {
  const file = path.join(target, relative);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, contents);
}

async function copy(from, to) {
  const file = path.join(target, to);
  await mkdir(path.dirname(file), { recursive: true });
  await copyFile(from, file);
}

function checkSize(name, built) {
  const { raw, gzip, brotli } = {
    raw: built.length,
    gzip: gzipSync(built, { level: 9 }).length,
    brotli: brotliCompressSync(built).length,
  };
  const budget = sizeBudget[name];
  console.log(`${name}: ${raw} bytes, gzip ${gzip}, brotli ${brotli} (budget ${budget})`);
  if (brotli <= budget) return;
  console.error(`${name} is ${brotli - budget} bytes over its budget`);
  process.exitCode = 1;
}

const { sizeBudget } = JSON.parse(await readFile(path.join(here, "package.json"), "utf8"));
// The first gets the shortest names.
const widget = await bundle("index.ts");
const more = await bundle("more/index.ts");
// Named by its content: browsers keep it for good, and a script never meets the file of another version.
const moreName = `more-${createHash("sha256").update(more).digest("hex").slice(0, 16)}.js`;
const whole = await bundle("index.ts", [wholeFile]);
const charts = await bundlePage("charts/index.ts");
// A module for whoever wants one; and with the page's own script, not as one: a saved page may not load modules.
const verify = await bundlePage("verify/verify.ts", "esm");
const verifyPage = await bundlePage("verify/page.ts");

await rm(path.join(target, "embed/static"), { recursive: true, force: true });
await write("embed/static/widget.js", widget);
await write(`embed/static/${moreName}`, more);
await write("embed/static/whole.js", whole);
await write("console/static/charts/charts.js", charts);
await write("receipts/static/verify/verify.js", verify);
await write("receipts/static/verify/page.js", verifyPage);
await Promise.all(COPIES.map(([from, to]) => copy(resolve(from), to)));
await Promise.all(CHART_LICENSES.map(([from, to]) => copy(path.join(here, "node_modules", from), to)));
checkSize("widget.js", widget);
checkSize("more.js", more);
checkSize("whole.js", whole);
checkSize("verify.js", verify);
