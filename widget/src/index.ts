import { on } from "./events";
import { allows, refresh } from "./gate";
import { decide, open, start } from "./widget";

// A second copy of the script does nothing.
if (!window.consentService) {
  window.consentService = {
    ready: start(),
    allows,
    gate: async (purpose) => {
      await refresh();
      return allows(purpose);
    },
    open: () => open(),
    withdraw: () => decide("withdraw"),
    on,
  };
}
