/** The `core` entry of the npm package: everything but what a visitor sees. Its types are in `package/core.d.ts`. */
import { attributesOf } from "../package/behaviour";
import type { ConsentCore, CoreOptions } from "../package/core";
import { follow } from "../package/live";
import { fetchConfig, signal, TIMEOUT } from "./api";
import type { Configuration } from "./config";
import { config, useConfig } from "./config";
import { begin, members } from "./core";
import { all, decide } from "./decide";
import { emit } from "./events";
import { isDue, postpone, standing } from "./store";

let creating: Promise<ConsentCore> | undefined;
let siteOfPage: string;

async function firstConfig(src: string, { site, language = "" }: CoreOptions): Promise<Configuration> {
  const path = `/v1/sites/${encodeURIComponent(site)}/banner`;
  const query = `?lang=${encodeURIComponent(language)}&gpc=${+signal()}`;
  const answer = await fetch(new URL(path + query, src), {
    credentials: "omit",
    signal: AbortSignal.timeout?.(TIMEOUT) ?? null,
  });
  if (!answer.ok) throw new Error(`${answer.url} says ${answer.status}`);
  return (await answer.json()) as Configuration;
}

async function create(options: CoreOptions): Promise<ConsentCore> {
  if (typeof document === "undefined") throw new Error("there is no page: call it in the browser");
  const src = new URL("/", options.service).href;
  const first = await firstConfig(src, options);
  const before: unknown = window.consentService;
  if (before && !Array.isArray(before)) throw new Error("the service's script is on this page already");
  useConfig(first, { src, dataset: attributesOf(options) });
  const core: ConsentCore = {
    ...members,
    get choices() {
      return standing();
    },
    get configuration() {
      return config;
    },
    ready: begin(),
    isDue,
    open: () => options.open?.(),
    postpone() {
      postpone();
      emit("dismissed", {});
    },
    async speak(language) {
      useConfig(await fetchConfig(language));
    },
    async withdraw() {
      await decide(all(false), "withdraw");
    },
  };
  window.consentService = core;
  follow(core);
  // What the page has queued until now.
  core.push(...((before as Parameters<typeof core.push> | undefined) ?? []));
  return core;
}

export function createConsent(options: CoreOptions): Promise<ConsentCore> {
  if (creating && options.site !== siteOfPage) {
    return Promise.reject(new Error(`consent-service: this page asks for ${siteOfPage} already`));
  }
  siteOfPage = options.site;
  return (creating ??= create(options).catch((error: unknown) => {
    creating = undefined;
    throw new Error(`consent-service: nothing is allowed. ${String(error)}`);
  }));
}
