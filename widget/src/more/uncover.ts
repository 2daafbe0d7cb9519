/** Keeps the banner off what has the focus (WCAG 2.4.11): scrolls it clear, or goes to the other edge of the screen. */
export function uncover(focused: Element, banner: HTMLElement): void {
  const { top, bottom } = focused.getBoundingClientRect();
  const covered = banner.getBoundingClientRect();
  if (top >= covered.bottom || bottom <= covered.top) return;
  const isLow = covered.top > innerHeight - covered.bottom;
  const distance = isLow ? bottom - covered.top : top - covered.bottom;
  const before = scrollY;
  scrollBy({ top: distance, behavior: "instant" });
  if (Math.abs(scrollY - before - distance) > 1) banner.className = isLow ? "csvc-top" : "csvc-bottom";
}
