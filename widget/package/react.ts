"use client";

import type { ReactNode } from "react";
import { useCallback, useSyncExternalStore } from "react";
import { allowedNow, watch } from "./live.js";

export { open, withdraw } from "./index.js";

/** Whether the gate allows a purpose now: `false` on the server and until it has said so. */
export function useConsent(purpose: string): boolean {
  const subscribe = useCallback((listener: () => void) => watch(purpose, listener), [purpose]);
  return useSyncExternalStore(
    subscribe,
    () => allowedNow().has(purpose),
    () => false,
  );
}

export interface ConsentProps {
  purpose: string;
  /** Stands in the place of the children while they are not allowed. */
  fallback?: ReactNode;
  children?: ReactNode;
}

/** Renders its children only while the gate allows the purpose. */
export function Consent({ purpose, fallback, children }: ConsentProps): ReactNode {
  return useConsent(purpose) ? children : fallback;
}
