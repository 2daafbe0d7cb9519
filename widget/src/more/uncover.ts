/** For how long, in milliseconds, a page that scrolls smoothly may still be on its way to what has the focus. */
const ON_THE_WAY = 1000;

/** Keeps the banner off what has the focus (WCAG 2.4.11). */
export function uncover(focused: Element, banner: HTMLElement): void {
  makeWay(focused, banner);
  const again = (): void => {
    if (document.activeElement === focused) makeWay(focused, banner);
  };
  const options: AddEventListenerOptions = { once: true };
  // Without it the listener would outlive the way, and scroll against the visitor.
  if (AbortSignal.timeout) options.signal = AbortSignal.timeout(ON_THE_WAY);
  addEventListener("scrollend", again, options);
}

/**
 * Scrolls the focus clear of the banner, or else moves the banner to the other edge of the screen. Where the page cannot
 * be scrolled far enough for either, the words of the banner give way.
 */
function makeWay(focused: Element, banner: HTMLElement): void {
  banner.style.maxHeight = "";
  if (isClear(focused, banner)) return;
  banner.className = isLow(banner) ? "csvc-top" : "csvc-bottom";
  if (isClear(focused, banner)) return;
  const { top, bottom } = focused.getBoundingClientRect();
  const below = innerHeight - bottom;
  banner.className = below > top ? "csvc-bottom" : "csvc-top";
  banner.style.maxHeight = `calc(${Math.max(below, top)}px - 1.5em)`;
}

function isLow(banner: Element): boolean {
  const { top, bottom } = banner.getBoundingClientRect();
  return top > innerHeight - bottom;
}

/** Whether the focus is beside the banner, or can be scrolled there. */
function isClear(focused: Element, banner: Element): boolean {
  const { top, bottom, height } = focused.getBoundingClientRect();
  const covered = banner.getBoundingClientRect();
  if (top >= covered.bottom || bottom <= covered.top) return true;
  // What has no room beside the banner is seen in part, and scrolling would only lead away from it.
  if (height > innerHeight - covered.height && (top < covered.top || bottom > covered.bottom)) return true;
  const distance = isLow(banner) ? bottom - covered.top : top - covered.bottom;
  const before = scrollY;
  scrollBy({ top: distance, behavior: "instant" });
  return Math.abs(scrollY - before - distance) <= 1;
}
