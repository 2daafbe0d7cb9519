"use strict";

// Momo Pulse's own page-view counter. Its tag in the page is plain text, and the consent
// service runs it only when the gate allows analytics. Page views come from the consent
// service's queue, which holds them until then and drops them after a withdrawal; it cannot
// unload this file, which therefore asks before every single hit.
(() => {
  const PURPOSE = "analytics";
  const COOKIE = "mp_analytics";
  const THIRTEEN_MONTHS = 395 * 24 * 60 * 60;
  const consent = window.consentService;

  /** Gives this browser a random number, unless it has one: an old one is never prolonged. */
  function setCookie() {
    if (document.cookie.split("; ").some((pair) => pair.startsWith(`${COOKIE}=`))) return;
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${COOKIE}=${value}; Max-Age=${THIRTEEN_MONTHS}; Path=/; SameSite=Lax${secure}`;
  }

  function send(url) {
    if (!consent.allows(PURPOSE)) return;
    setCookie();
    fetch("/demo/hits", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ page: `/${new URL(url).hash.slice(1) || "overview"}` }),
      keepalive: true,
    }).catch(() => {}); // A lost page view is not worth an error on the visitor's page.
  }

  // What the page handed over while this file was on its way, and what it will from now on.
  const views = window.momoPulseViews || [];
  window.momoPulseViews = { push: send };
  views.forEach(send);
})();
