/**
 * Builds the examples that need building; those of frameworks are rendered on the server and taken over in the browser:
 *
 *     node build.mjs PROJECT
 *
 * PROJECT is a copy of this folder where the package is installed; each example gets its main.js there, and its index.html.
 */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import esbuild from "esbuild";
import { compile } from "svelte/compiler";
import { compileScript, parse } from "vue/compiler-sfc";

const [, , project] = process.argv;
const EXAMPLES = { react: "tsx", svelte: "ts", vue: "ts" };

/** What the frameworks' own plugins do, as far as the examples need it. */
const components = (generate) => ({
  name: "components",
  setup(build) {
    build.onLoad({ filter: /\.svelte$/ }, async ({ path: file }) => {
      const { js } = compile(await readFile(file, "utf8"), { filename: file, generate });
      return { contents: js.code, loader: "js" };
    });
    build.onLoad({ filter: /\.vue$/ }, async ({ path: file }) => {
      const { descriptor } = parse(await readFile(file, "utf8"), { filename: file });
      const { content } = compileScript(descriptor, { id: "app", inlineTemplate: true });
      return { contents: content, loader: "ts" };
    });
  },
});

const shared = {
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  conditions: ["svelte"],
  // Warnings of the frameworks are shown, those about a page taken over among them.
  define: { "process.env.NODE_ENV": '"development"' },
};

const at = (name, file) => path.join(project, name, file);

const buildClient = (name, extension) =>
  esbuild.build({
    ...shared,
    entryPoints: [at(name, `main.${extension}`)],
    outfile: at(name, "main.js"),
    plugins: [components("client")],
  });

async function build(name, extension) {
  await buildClient(name, extension);
  await esbuild.build({
    ...shared,
    entryPoints: [at(name, `server.${extension}`)],
    outfile: at(name, "server.js"),
    platform: "node",
    external: Object.keys(EXAMPLES).concat("react-dom"),
    plugins: [components("server")],
  });
  const { html } = await import(pathToFileURL(at(name, "server.js")));
  const script = '<script type="module" src="main.js"></script>';
  await writeFile(at(name, "index.html"), `<!doctype html><title>${name}</title><div id="app">${html}</div>${script}`);
}

await buildClient("headless", "ts");
await Promise.all(Object.entries(EXAMPLES).map(([name, extension]) => build(name, extension)));
