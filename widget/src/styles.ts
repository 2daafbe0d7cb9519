import css from "./styles.css";
import { el } from "./dom";

/** Adds the style sheet to the page, under `style-src 'self'` too; older browsers get a style element. */
export function addStyles(nonce: string | undefined): void {
  try {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets.push(sheet);
  } catch {
    document.head.append(el("style", { nonce }, css));
  }
}

/** Where black and white are equally easy to read, in the sum below. */
const MIDDLE = 35650;

/** Black or white, whichever is easier to read on a colour: the better of the two always has a contrast above 4.5. */
export function textOn(colour: string): string {
  const rgb = parseInt(colour.slice(1), 16);
  const light = 0.2126 * (rgb >> 16) ** 2.2 + 0.7152 * ((rgb >> 8) & 255) ** 2.2 + 0.0722 * (rgb & 255) ** 2.2;
  return light > MIDDLE ? "#000" : "#fff";
}
