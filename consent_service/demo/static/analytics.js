"use strict";

// Momo Pulse's own page-view counter. Its tag in the page is plain text, and the consent
// service runs it only when the gate allows analytics. From then on it is this file's duty to
// stop at once on a withdrawal, and it asks before every single hit.
(() => {
  if (window.momoPulseAnalytics) return;
  window.momoPulseAnalytics = true;

  const PURPOSE = "analytics";
  const COOKIE = "mp_analytics";
  const THIRTEEN_MONTHS = 395 * 24 * 60 * 60;
  const consent = window.consentService;
  let counting = false;

  /** Gives this browser a random number, unless it has one: an old one is never prolonged. */
  function setCookie() {
    if (document.cookie.split("; ").some((pair) => pair.startsWith(`${COOKIE}=`))) return;
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${COOKIE}=${value}; Max-Age=${THIRTEEN_MONTHS}; Path=/; SameSite=Lax${secure}`;
  }

  function sendPageView() {
    const page = document.documentElement.dataset.page;
    if (!counting || !page || !consent.allows(PURPOSE)) return;
    fetch("/demo/hits", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ page }),
      keepalive: true,
    }).catch(() => {}); // A lost page view is not worth an error on the visitor's page.
  }

  function start() {
    if (counting || !consent.allows(PURPOSE)) return;
    counting = true;
    setCookie();
    sendPageView();
  }

  function stop() {
    counting = false;
  }

  /** Counts on, or again, once the gate has said so; a refusal stops without waiting for it. */
  function follow(allowed) {
    if (allowed) consent.gate(PURPOSE).then(start);
    else stop();
  }

  document.addEventListener("pageview", sendPageView);
  consent.on("change", ({ choices }) => follow(choices[PURPOSE]));
  consent.on("decision", ({ decisions }) => follow(decisions[PURPOSE]?.allow));
  start();
})();
