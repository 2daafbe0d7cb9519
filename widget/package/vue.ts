import type { ComputedRef, MaybeRefOrGetter, SlotsType } from "vue";
import { computed, defineComponent, shallowRef, toValue, watchPostEffect } from "vue";
import { allowedNow, NOTHING, watch } from "./live.js";

export { open, withdraw } from "./index.js";

/** Whether the gate allows a purpose now: `false` on the server and until it has said so. */
export function useConsent(purpose: MaybeRefOrGetter<string>): ComputedRef<boolean> {
  // Nothing at first, so that a page rendered on the server is taken over as it stands.
  const allowed = shallowRef(NOTHING);
  watchPostEffect((onCleanup) => {
    const update = (): void => {
      allowed.value = allowedNow();
    };
    onCleanup(watch(toValue(purpose), update));
    update();
  });
  return computed(() => allowed.value.has(toValue(purpose)));
}

/** Renders its default slot only while the gate allows the purpose, and `fallback` otherwise. */
export const Consent = defineComponent({
  name: "Consent",
  props: { purpose: { type: String, required: true } },
  slots: Object as SlotsType<{ default?: object; fallback?: object }>,
  setup(props, { slots }) {
    const allowed = useConsent(() => props.purpose);
    return () => (allowed.value ? slots.default?.({}) : slots.fallback?.({}));
  },
});
