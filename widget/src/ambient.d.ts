/** The configuration, put in front of the built file by the server. */
declare const __CONFIG__: import("./config").Configuration;

/** A style sheet as text, minified by the build. */
declare module "*.css" {
  const text: string;
  export default text;
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
