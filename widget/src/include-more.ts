import * as more from "./more";

/** Gives `more/`, which is in the same file. */
export const fetchMore = async (): Promise<typeof more> => more;
