import type { Core, More } from "./more";
import { deleteRefused } from "./more/cookies";
import { turn } from "./more/embeds";
import { link } from "./more/link";

/** Gives what a page without a banner of ours uses of `more/`, which is in the same file. */
export const fetchMore = async () => ({
  default: (core: Core): Pick<More, "deleteRefused" | "link" | "turn"> => ({
    deleteRefused,
    link: (userToken) => link(userToken, core),
    turn: (element, allowed) => turn(element, allowed, core),
  }),
});
