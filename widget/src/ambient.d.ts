/** The configuration, put in front of the built file by the server. */
declare const __CONFIG__: import("./config").Configuration;
/** The script's own tag, likewise; only while it first runs does the browser tell it. */
declare const __SCRIPT__: HTMLScriptElement;

/** The name of the file that `more/` was built into, likewise. */
declare const __MORE__: string;

/** A style sheet as text, minified by the build. */
declare module "*.css" {
  const text: string;
  export default text;
}

interface Document {
  readonly prerendering?: boolean;
}

interface Navigator {
  readonly globalPrivacyControl?: boolean;
}

/** The part of Trusted Types that gated scripts need. */
interface ScriptPolicy {
  createScript(text: string): string;
  createScriptURL(url: string): string;
}

interface Window {
  readonly trustedTypes?: { createPolicy(name: string, rules: ScriptPolicy): ScriptPolicy };
}
