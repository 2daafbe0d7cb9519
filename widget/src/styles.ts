import { tag } from "./config";
import { el } from "./dom";

/** Adds a style sheet to the page, under `style-src 'self'` too; older browsers get an element. */
export function addStyles(css: string): void {
  try {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets.push(sheet);
  } catch {
    document.head.append(el("style", { nonce: tag.nonce }, css));
  }
}
