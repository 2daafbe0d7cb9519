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
  gpc: { detected: boolean; overridable: boolean };
  dpo: { name: string; email: string; address: string };
  /** `accent` is written `#rrggbb`. */
  theme: { accent?: string; position?: "bottom" | "top" | "centre" };
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
  /** A name, or the beginning of one followed by `*`. */
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
  | "gpc_honoured"
  | "gpc_override"
  | "language"
  | "withdraw",
  string
>;

/** The configuration in use: the one that came with the script, until another language or a newer notice replaces it. */
export let config: Configuration = __CONFIG__;
/** Its texts and purposes. */
export let { texts, purposes } = config;

/** Takes another configuration of the same site into use. */
export function useConfig(next: Configuration): void {
  // First what fails on an answer that is no configuration.
  ({ texts, purposes } = next);
  config = next;
}

/** Keys of the purposes the visitor decides about. */
export function optionalKeys(): string[] {
  return purposes.optional.map(({ key }) => key);
}
