import { asShown, call } from "./api";
import { config } from "./config";
import { store, stored } from "./store";

/** When the banner was first seen on this page, in milliseconds since the page began. */
let seen: number | undefined;

/** Milliseconds since the banner was first seen on this page; no number if it was not. */
export const sinceSeen = (): number => Math.round(performance.now() - seen!);

/** Tells the service of a banner, for it to be counted, with nothing that tells visitors apart. Never throws. */
export function tell(type: "shown" | "dismissed" | "preferences_opened"): void {
  // Once it is painted, which it never is on a page that nobody looks at.
  requestAnimationFrame((now) => {
    setTimeout(() => {
      const said = { type, ...asShown() };
      if (type === "shown") {
        seen ??= now;
        if (stored("_" + type) == said.notice_version) return;
        store("_" + type, said.notice_version);
      }
      // Without headers it is text, which goes to another host without asking it first. Nobody waits for an answer.
      call(`/v1/sites/${config.site}/events`, said, { headers: {}, credentials: "omit" }).catch(() => undefined);
    });
  });
}
