import type { PageView, Queued } from "../consent-service";
import { allows, isRefused, refresh } from "./gate";

/** More would be no first page view but a page that never stops. */
const LONGEST = 100;

let waiting: [...Queued, PageView][] = [];

function sift(): void {
  waiting = waiting.filter(([purpose, callback, view]) =>
    // One that throws is reported as the page's fault and stops none of the others.
    allows(purpose) ? void Promise.resolve(view).then(callback) : !isRefused(purpose),
  );
}

/** Runs what the gate allows, in the order it came, and drops what the visitor has refused. */
export async function replay(): Promise<void> {
  if (!waiting[0]) return;
  const answered = refresh();
  // What is essential waits for no answer.
  sift();
  await answered;
  sift();
}

/** Holds something back until a purpose is allowed, with the page as it is now; see `push` in the public types. */
export function push(...items: Queued[]): void {
  const { URL: url, title, referrer } = document;
  for (const item of items) waiting.push([...item, { url, referrer, title, time: Date.now() }]);
  // Not the newest: the first must not be lost.
  waiting.splice(LONGEST);
  void replay();
}
