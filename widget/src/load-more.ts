import { config, tag } from "./config";
import { fetchMore } from "./fetch-more";
import type { Core, More } from "./more";

let given: Omit<Core, "config" | "tag">;
let loading: ReturnType<typeof fetchMore> | undefined;

/** Says what `more/` may use of the rest. */
export function provide(core: typeof given): void {
  given = core;
}

/** Loads `more/`, if it is not there. Rejects where that fails, and then tries again when next called. */
export async function more(): Promise<More> {
  loading = loading ?? fetchMore();
  const { default: make } = await loading.catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return make({ ...given, config, tag });
}
