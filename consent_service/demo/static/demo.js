"use strict";

// The live parts of the demo page: the dashboard's pages, and the two panels that show what
// the gate answered and what analytics received. It loads in the head, before the embedded
// script, and so sees that script load or fail.
(() => {
  const REFRESH_MS = 1500;
  const SHOWN_HITS = 4;
  // The last answer known for each purpose. A reason is there only if the gate gave one.
  const answers = { preferences: { allow: false }, analytics: { allow: false } };
  let texts;
  let state = "waiting";

  const element = (id) => document.getElementById(id);

  function make(tag, className, ...content) {
    const node = document.createElement(tag);
    node.className = className;
    node.append(...content);
    return node;
  }

  // --- What the gate says -------------------------------------------------------------------

  /** Without a standing choice the consent service need not ask the gate: then the page gives the reason. */
  function reasonOfPage() {
    if (state === "connected") return texts.reasons.no_choice;
    return state === "troubled" ? texts.no_answer : texts.not_asked;
  }

  function showGate() {
    if (!texts) return;
    const rows = Object.entries(answers).map(([purpose, { allow, reason }]) => {
      const answer = make("dd", "", make("span", allow ? "badge allow" : "badge deny", allow ? texts.allow : texts.deny));
      if (reason) answer.append(make("span", "", texts.reasons[reason] || ""), make("code", "", reason));
      else if (!allow) answer.append(reasonOfPage());
      return make("div", "", make("dt", "", texts.purposes[purpose] || purpose), answer);
    });
    element("gate").replaceChildren(...rows);
    element("gate-note").textContent = texts[state];
    element("theme-note").textContent = answers.preferences.allow ? texts.theme_kept : texts.theme_not_kept;
  }

  /** Brings the panel up to date; what the gate answers comes by the "decision" event. */
  async function askGate(service) {
    for (const purpose of Object.keys(answers)) {
      const allow = await service.gate(purpose);
      if (answers[purpose].allow !== allow) answers[purpose] = { allow };
    }
    if (state === "waiting") state = "connected";
    showGate();
  }

  function connect(service) {
    service.on("decision", ({ decisions }) => {
      Object.assign(answers, decisions);
      showGate();
    });
    service.on("error", () => {
      state = "troubled";
      showGate();
    });
    service.on("change", () => {
      state = "connected";
      for (const purpose of Object.keys(answers)) answers[purpose] = { allow: false };
      askGate(service);
    });
    service.ready.then(() => askGate(service));
  }

  /** A blocked or broken consent service leaves a working page that says what it did not load. */
  function reportMissing() {
    state = "missing";
    showGate();
    for (const control of document.querySelectorAll("[data-consent-open]")) control.disabled = true;
  }

  // Load and error events do not bubble, but they can be captured on their way down.
  for (const type of ["load", "error"]) {
    document.addEventListener(
      type,
      ({ target }) => {
        if (!(target instanceof HTMLScriptElement) || !target.src.includes("/embed/")) return;
        if (window.consentService?.ready) connect(window.consentService);
        else if (texts) reportMissing();
        else document.addEventListener("DOMContentLoaded", reportMissing);
      },
      true,
    );
  }

  // --- What analytics received --------------------------------------------------------------

  let shownHits = "";

  function showHits({ hits, total }) {
    const newest = hits.slice().sort((a, b) => b.at.localeCompare(a.at)).slice(0, SHOWN_HITS);
    const state = JSON.stringify([total, newest]);
    if (state === shownHits) return;
    shownHits = state;
    const rows = newest.map(({ page, at }) => {
      const time = new Date(at).toLocaleTimeString("en-GB");
      return make("tr", "", make("td", "", make("code", "", page)), make("td", "", time));
    });
    const table = element("hits");
    table.tBodies[0].replaceChildren(...rows);
    table.hidden = rows.length === 0;
    element("hit-count").textContent = total;
    element("hit-note").textContent = total ? texts.latest : texts.nothing;
    element("empty-hits").disabled = total === 0;
  }

  async function refreshHits() {
    if (document.hidden) return;
    try {
      const answer = await fetch("/demo/hits", { cache: "no-store" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      showHits(await answer.json());
    } catch (error) {
      shownHits = "";
      element("hit-note").textContent = texts.unreadable;
    }
  }

  async function emptyHits() {
    try {
      await fetch("/demo/hits", { method: "DELETE" });
    } finally {
      refreshHits();
    }
  }

  // --- The dashboard ------------------------------------------------------------------------

  /** Hands a page view over to analytics.js, which may still be on its way. */
  function count({ url }) {
    (window.momoPulseViews ||= []).push(url);
  }

  /** Shows the page named in the address, and has it counted once the visitor allows that. */
  function openPage() {
    const views = [...document.querySelectorAll("[data-view]")];
    const name = location.hash.slice(1) || "overview";
    if (!views.some((view) => view.dataset.view === name)) return;
    for (const view of views) view.hidden = view.dataset.view !== name;
    for (const link of document.querySelectorAll("[data-page]")) {
      if (link.dataset.page === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    (window.consentService ||= []).push(["analytics", count]);
  }

  /** The theme holds for this visit; remembering it is the work of preferences.js. */
  function useTheme({ target }) {
    if (target.name === "theme") document.documentElement.dataset.theme = target.value;
  }

  document.addEventListener("DOMContentLoaded", () => {
    texts = JSON.parse(document.body.dataset.texts);
    document.addEventListener("change", useTheme);
    window.addEventListener("hashchange", openPage);
    element("empty-hits").addEventListener("click", emptyHits);
    openPage();
    if (!document.querySelector("[data-page][aria-current]")) location.replace("#overview");
    showGate();
    refreshHits();
    setInterval(refreshHits, REFRESH_MS);
  });
})();
