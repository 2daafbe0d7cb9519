import { createSubscriber } from "svelte/reactivity";
import { allowedNow, watch } from "./live.js";

export { default as Consent } from "./Consent.svelte";
export { open, withdraw } from "./index.js";

/**
 * Whether the gate allows a purpose now, to read in a template, `$derived` or `$effect`: `current` is `false` on the
 * server and until the gate has said so.
 */
export function useConsent(purpose: string): { readonly current: boolean } {
  const subscribe = createSubscriber((update) => watch(purpose, update));
  return {
    get current() {
      subscribe();
      return allowedNow().has(purpose);
    },
  };
}
