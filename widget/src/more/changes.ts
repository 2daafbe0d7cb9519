import { purposes, texts } from "../config";
import { hasAnswered } from "../store";

/** Why somebody who has chosen is asked again, and about which purposes for the first time. */
export function whatChanged(): string {
  const added = purposes.optional.filter(({ key }) => !hasAnswered(key)).map(({ name }) => name);
  const what = added[0] ? " " + texts.notice_new.replace("{purposes}", () => added.join(", ")) : "";
  return texts.notice_changed + what;
}
