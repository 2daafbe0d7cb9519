import type { Component, Snippet } from "svelte";

/** Renders its children only while the gate allows the purpose. */
declare const Consent: Component<{
  purpose: string;
  /** Stands in the place of the children while they are not allowed. */
  fallback?: Snippet;
  children?: Snippet;
}>;
export default Consent;
