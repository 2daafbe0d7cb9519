import type { Configuration, Texts } from "../configuration";

export type * from "../configuration";

/** Where the service is, and how the site wants the widget to behave: the script's tag, or what stands for it. */
export interface Tag {
  readonly src: string;
  readonly nonce?: string;
  readonly dataset: Readonly<Record<string, string | undefined>>;
}

/** The configuration in use: the one that came with the script, until another language or a newer notice replaces it. */
export let config: Configuration;
/** Its texts and purposes. */
export let texts: Texts;
export let purposes: Configuration["purposes"];
export let tag: Tag;

/** Takes a configuration of the site into use; fails on an answer that is none, and then changes nothing. */
export function useConfig(next: Configuration, from = tag): void {
  // Fails here where it is no configuration.
  ({ texts: {}, purposes: { optional: [], essential: [] } } = next);
  ({ texts, purposes } = config = next);
  tag = from;
}

/** Keys of the purposes the visitor decides about. */
export function optionalKeys(): string[] {
  return purposes.optional.map(({ key }) => key);
}

/** Whether a purpose is never asked about. */
export function isEssential(purpose: string): boolean {
  return purposes.essential.some(({ key }) => key === purpose);
}

/** The purpose an element is for: the one it names, or the one that the notice puts its service under. */
export function purposeOf({ dataset }: HTMLElement): string {
  const every = Object.values(purposes).flat();
  const found = every.find(({ services }) => services.some(({ key }) => key === dataset["consentService"]));
  return dataset["consent"] ?? found?.key ?? "";
}
