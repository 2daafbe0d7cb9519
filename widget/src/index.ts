import { useConfig } from "./config";
import { begin, members } from "./core";
import { face, open, press } from "./widget";

const before = window.consentService;

// A second copy of the script does nothing; an array is what the page has queued before the first came.
if (!before || Array.isArray(before)) {
  useConfig(__CONFIG__, __SCRIPT__);
  window.consentService = Object.assign(members, {
    ready: begin(face),
    open: () => open(),
    withdraw: () => press("withdraw"),
  });
  members.push(...((before as Parameters<typeof members.push> | undefined) ?? []));
}
