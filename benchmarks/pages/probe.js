/**
 * Runs before everything else on a page and measures it, in the same way whatever the banner is.
 * `accept` is the selector of the banner's button, or null on the page without a banner.
 */
(accept) => {
  const seen = { banner: 0, paint: 0, tasks: [], scripts: [], shift: 0 };
  const watch = (type, take) =>
    new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
  watch("longtask", ({ startTime, duration }) => seen.tasks.push({ startTime, duration }));
  watch("long-animation-frame", ({ scripts }) => {
    // What comes from no file is this probe.
    for (const { sourceURL, startTime } of scripts) if (sourceURL) seen.scripts.push(startTime);
  });
  watch("layout-shift", ({ value }) => (seen.shift += value));
  watch("paint", ({ name, startTime }) => {
    if (name === "first-contentful-paint") seen.paint = startTime;
  });

  /** Whether a visitor can press the button: not transparent, on the screen, nothing above it. */
  const canBePressed = (button) => {
    if (!button?.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const { left, top, width, height } = button.getBoundingClientRect();
    return button.contains(document.elementFromPoint(left + width / 2, top + height / 2));
  };

  const shown = new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    // What a frame's callback posts arrives once that frame is painted.
    port1.onmessage = () => {
      seen.banner = performance.now();
      resolve();
    };
    const eachFrame = () => {
      if (!accept || canBePressed(document.querySelector(accept))) port2.postMessage(0);
      else requestAnimationFrame(eachFrame);
    };
    requestAnimationFrame(eachFrame);
  });
  const loaded = new Promise((resolve) => addEventListener("load", resolve));

  /** What was measured, once banner and page are there and had `settle` milliseconds to do more. */
  window.measured = async (settle) => {
    await Promise.all([shown, loaded]);
    await new Promise((resolve) => setTimeout(resolve, settle));
    return seen;
  };
}
