/** Types of what the service says about a site: what a banner shows, and how it behaves. */

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
  | "receipt"
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
