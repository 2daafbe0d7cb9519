/** A site's configuration, as the service sends it inside the script and from `/banner`. */
export interface Configuration {
  site: string;
  notice_version: number;
  /** Choices made under an older notice than this one are asked again. */
  material_version: number;
  policy: { version: string; url: string };
  regime: "opt_in" | "opt_out" | "notice";
  language: string;
  direction: "ltr" | "rtl";
  languages: { code: string; name: string }[];
  purposes: { essential: Purpose[]; optional: Purpose[] };
  texts: Texts;
  /** `note` tells the visitor that their browser's signal is obeyed, and whether a choice made here outweighs it. */
  gpc: { detected: boolean; overridable: boolean; note: string };
  /** Days until somebody who closed the banner without choosing is asked again. */
  reask_days: number;
  dpo: { name: string; email: string; address: string };
  /** Colours are written `#rrggbb`; `on_accent` is what can be read on `accent`. */
  theme: { accent?: string; on_accent?: string; position: "bottom" | "top" | "centre" };
  /** Name of the token cookie; the readable one is this and `_choices`. */
  cookie: string;
}

export interface Purpose {
  key: string;
  category: string;
  name: string;
  description: string;
  services: Service[];
}

export interface Service {
  key: string;
  name: string;
  provider: string;
  cookies: CookieDeclaration[];
}

export interface CookieDeclaration {
  /** A name, or the beginning of one followed by `*`; of a cookie, or of a key in the browser's storage. */
  name: string;
  duration: string;
  party: "first" | "third";
  description: string;
}

/** Plain texts in the configuration's language. */
export type Texts = Record<
  | "title"
  | "body"
  | "accept_all"
  | "reject_all"
  | "choose"
  | "save"
  | "close"
  | "preferences_title"
  | "preferences_body"
  | "always_on"
  | "essential_title"
  | "essential_reason"
  | "optional_title"
  | "allow"
  | "services"
  | "provider"
  | "cookie_name"
  | "cookie_duration"
  | "cookie_party"
  | "cookie_description"
  | "party_first"
  | "party_third"
  | "no_cookies"
  | "policy_link"
  | "contact"
  | "reopen"
  | "saved"
  | "withdrawn"
  | "error"
  | "notice_changed"
  | "language"
  | "withdraw"
  | "dismiss"
  | "notice_new"
  | "linked"
  | "embed_body"
  | "embed_once"
  | "embed_always",
  string
>;

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
  ({ optional: [], essential: [] } = next.purposes);
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
  const found = purposes.optional.find(({ services }) => services.some(({ key }) => key === dataset["consentService"]));
  return dataset["consent"] ?? found?.key ?? "";
}
