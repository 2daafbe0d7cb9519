/**
 * Keeps the banner off what has the focus (WCAG 2.4.11): scrolls it clear, or else goes to the other edge of the screen.
 * Where the page cannot be scrolled far enough for either, the words of the banner give way.
 */
export function uncover(focused: Element, banner: HTMLElement): void {
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
