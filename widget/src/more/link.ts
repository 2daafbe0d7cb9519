import { call, signal } from "../api";
import { config, texts } from "../config";
import { attempt, el } from "../dom";
import { failed } from "../events";
import type { ConsentRecord } from "../store";
import type { Core } from ".";

/** The user's record and token, which from now on are the visitor's; none where there is no choice to link. */
interface Linked {
  record: ConsentRecord | null;
  token: string;
  changed: boolean;
}

/** Says it where the widget says what it has done, if there is such a place. */
function announce(text: string): void {
  document.querySelector("#csvc-root > [role=status]")?.replaceChildren(el("span", {}, text));
}

/** Lets the choice of a signed-in user count here, and a choice made here count wherever that user signs in. */
export async function link(user_token: string, { adopt, follow, on }: Core): Promise<boolean> {
  const ask = (): Promise<Linked> =>
    call(`/v1/sites/${config.site}/consents/link`, { user_token, gpc: signal() });
  const take = ({ record, token, changed }: Linked): boolean => {
    if (record) {
      adopt(record, token);
      if (changed) announce(texts.linked);
    } else if (changed) {
      // What this device held was another user's. The service has deleted its cookies; these are the widget's own.
      attempt(() => {
        document.cookie = `${config.cookie}_choices=;path=/;max-age=0`;
        localStorage.removeItem(config.cookie);
      });
      follow();
    }
    return !!record;
  };
  const linked = take(await ask());
  // The first choice made here is then the user's.
  if (!linked) {
    const forget = on("change", () => {
      forget();
      ask().then(take, failed);
    });
  }
  return linked;
}
