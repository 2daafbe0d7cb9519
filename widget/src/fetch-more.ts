import { tag } from "./config";

let tries = 0;

/** Fetches what `more/` was built into. Where the site wants one file, the build puts `include-more.ts` in this one's place. */
export const fetchMore = (): Promise<typeof import("./more")> =>
  // Browsers remember a module that failed by its whole address.
  import(new URL(`/embed/${__MORE__}#${tries++}`, tag.src).href) as Promise<typeof import("./more")>;
