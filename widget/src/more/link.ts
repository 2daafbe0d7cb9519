import { call } from "../api";
import { config } from "../config";
import { failed } from "../events";
import type { ConsentRecord } from "../store";
import type { Core } from ".";

/** The user's record and token, which from now on are the visitor's; perhaps neither has made a choice yet. */
interface Linked {
  record: ConsentRecord | null;
  token: string;
}

/** Lets the choice of a signed-in user count here, and a choice made here count wherever that user signs in. */
export async function link(user_token: string, { adopt, on }: Core): Promise<boolean> {
  const ask = (): Promise<Linked> => call(`/v1/sites/${config.site}/consents/link`, { user_token });
  const take = ({ record, token }: Linked): boolean => {
    if (record) adopt(record, token);
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
