/**
 * Builds the widget into the Python package, beside the other files the package takes from npm.
 * Fails when the widget is over its size budget (`sizeBudget` in package.json).
 */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
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

/** esbuild puts the files together, terser makes the result smaller than esbuild alone does. */
async function buildWidget() {
  // The server puts a function around this, together with `__CONFIG__`, so the bundle needs none of its own.
  const { outputFiles } = await esbuild.build({
    entryPoints: [path.join(here, "src/index.ts")],
    bundle: true,
    minifySyntax: true,
    format: "esm",
    target: "es2020",
    charset: "utf8",
    plugins: [styleText],
    write: false,
  });
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    ecma: 2020,
    compress: { passes: 3, unsafe_arrows: true },
  });
  return Buffer.from(code);
}

async function write(relative, contents) {
  const file = path.join(target, relative);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, contents);
}

async function copy(from, to) {
  const file = path.join(target, to);
  await mkdir(path.dirname(file), { recursive: true });
  await copyFile(resolve(from), file);
}

const widget = await buildWidget();
await write("embed/static/widget.js", widget);
await Promise.all(COPIES.map(([from, to]) => copy(from, to)));

const { sizeBudget } = JSON.parse(await readFile(path.join(here, "package.json"), "utf8"));
const sizes = {
  raw: widget.length,
  gzip: gzipSync(widget, { level: 9 }).length,
  brotli: brotliCompressSync(widget).length,
};
console.log(`widget.js: ${sizes.raw} bytes, gzip ${sizes.gzip}, brotli ${sizes.brotli} (budget ${sizeBudget.brotli})`);
if (sizes.brotli > sizeBudget.brotli) {
  console.error(`widget.js is ${sizes.brotli - sizeBudget.brotli} bytes over its budget`);
  process.exit(1);
}
