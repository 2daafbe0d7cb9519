import { purposes, texts } from "../config";

/**
 * Why somebody who has chosen is asked again, and about which purposes for the first time.
 *
 * @param answered - the choice that was made, as it is kept
 */
export function whatChanged(answered: string): string {
  const added = purposes.optional.filter(({ key }) => !answered.includes(`~${key}:`)).map(({ name }) => name);
  const what = added[0] ? " " + texts.notice_new.replace("{purposes}", () => added.join(", ")) : "";
  return texts.notice_changed + what;
}
