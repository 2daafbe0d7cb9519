import type { PageView, Queued } from "../consent-service";
import { allows, isRefused, refresh } from "./gate";

/** More would be no first page view but a page that never stops. */
const LONGEST = 100;

let waiting: [...Queued, PageView][] = [];

/** Runs what the gate allows, in the order it came, and drops what the visitor has refused. */
export async function replay(): Promise<void> {
  if (waiting[0]) await refresh();
  const items = waiting;
  waiting = [];
  for (const item of items) {
    const [purpose, callback, view] = item;
    // One that throws is reported as the page's fault and stops none of the others.
    if (allows(purpose)) void Promise.resolve(view).then(callback);
    else if (!isRefused(purpose)) waiting.push(item);
  }
}

/** Holds something back until a purpose is allowed, with the page as it is now; see `push` in the public types. */
export function push(...items: Queued[]): void {
  const { title, referrer } = document;
  for (const item of items) waiting.push([...item, { url: location.href, referrer, title, time: Date.now() }]);
  waiting = waiting.slice(-LONGEST);
  void replay();
}
