import type { ConsentService } from "../consent-service";
import { adopt, decide, follow, stayInStep } from "./decide";
import { happens } from "./dom";
import { failed, on } from "./events";
import { allows, refresh } from "./gate";
import { run, watch } from "./gated";
import { given, more } from "./load-more";
import type { Core } from "./more";
import { push, replay } from "./queue";
import { standing } from "./store";

/** What the visitor sees, if anything. */
export interface Face {
  /** Called as soon as the page is there for the visitor. */
  begin(): void;
  /** Called with every change of the page. */
  tend(): void;
  /** Called once the page's markup has been read. */
  complete(): void;
  open: Core["open"];
}

/** Takes up what the visitor chose, and runs what that allows. Never rejects. */
export async function begin(face?: Face): Promise<void> {
  try {
    // A page made ready ahead of a visit that may never come.
    if (document.prerendering) await happens("prerenderingchange");
    Object.assign(given, { on, open: face?.open, adopt, decide, follow, standing });
    stayInStep();
    on("change", () => {
      void run();
      void replay();
    });
    face?.begin();
    watch(face?.tend);
    if (document.readyState === "loading") await happens("DOMContentLoaded");
    face?.complete();
    await run();
    await replay();
  } catch (error) {
    failed(error);
  }
}

/** What pages may call, with or without a banner. */
export const members: Omit<ConsentService, "ready" | "open" | "withdraw"> = {
  allows,
  get choices() {
    return standing();
  },
  gate: async (purpose) => {
    await refresh();
    return allows(purpose);
  },
  decide,
  link: (userToken) => more().then((rest) => rest.link(userToken)).catch(failed),
  on,
  push,
};
