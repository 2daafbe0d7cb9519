import { config, tag } from "./config";
import { fetchMore } from "./fetch-more";
import type { Core, More } from "./more";

export const given = {} as Omit<Core, "config" | "tag">;
let loading: ReturnType<typeof fetchMore> | undefined;


/** Loads `more/`, if it is not there. Rejects where that fails, and then tries again when next called. */
export async function more(): Promise<More> {
  try {
    loading ??= fetchMore();
    return (await loading).default({ ...given, config, tag });
  } catch (error) {
    loading = undefined;
    throw error;
  }
}
