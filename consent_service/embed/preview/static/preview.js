"use strict";

// Shows a notice's banner inside a frame of one of our pages, for nobody: the frame has no origin of its own, and so neither
// cookies nor storage; its policy lets it call nobody; and what the widget would send is answered here.
(() => {
  const around = location.origin;
  const waiting = new Map();
  let asked = 0;
  let shown;

  const tell = (message) => parent.postMessage(message, around);
  const answer = (body, status = 200) => new Response(JSON.stringify(body), { status });

  /** Asks the page around for what the widget is told in another language. */
  function inLanguage(language) {
    const number = ++asked;
    tell({ says: "language", language, number });
    return new Promise((resolve) => waiting.set(number, resolve));
  }

  /** Answers a decision as the service does, and forgets it. */
  function record({ choices, notice_version }) {
    const essential = Object.fromEntries(shown.purposes.essential.map(({ key }) => [key, true]));
    const expires_at = new Date(Date.now() + shown.remember_days * 86400000).toISOString();
    const record = { id: "preview", notice_version, expires_at, gpc: shown.gpc.detected, choices: { ...essential, ...choices } };
    return answer({ record, token: "preview", receipt_url: "" }, 201);
  }

  window.fetch = async (address, { body } = {}) => {
    const { pathname, searchParams } = new URL(address, location.href);
    if (pathname.endsWith("/consents")) return record(JSON.parse(body));
    if (pathname.endsWith("/banner")) return answer((shown = await inLanguage(searchParams.get("lang"))));
    return answer({ decisions: {}, max_age: 60 });
  };

  /**
   * @param configuration - what the widget is told
   * @param layer - "banner" or "preferences"
   * @param label - what the page in the frame is to be called
   * @param ticked - purpose key to allowed or not, where the boxes are to be as somebody left them
   */
  async function show({ configuration, layer, scheme, label, ticked }) {
    shown = configuration;
    document.title = label;
    document.querySelector("main").setAttribute("aria-label", label);
    document.documentElement.dataset.scheme = scheme;
    document.documentElement.lang = configuration.language;
    const value = configuration.gpc.detected;
    Object.defineProperty(navigator, "globalPrivacyControl", { value, configurable: true });
    consentServiceWidget({ src: location.href, dataset: {} }, configuration);
    const { consentService } = window;
    await consentService.ready;
    if (layer === "preferences") {
      const drawn = new Promise((resolve) => consentService.on("shown", resolve));
      consentService.open();
      await drawn;
    }
    for (const box of document.querySelectorAll("[data-purpose]")) box.checked = ticked?.[box.dataset.purpose] ?? box.checked;
    tell({ says: "drawn" });
  }

  addEventListener("message", ({ source, origin, data }) => {
    if (source !== parent || origin !== around) return;
    if (data.asks === "show") void show(data);
    else if (data.asks === "language") waiting.get(data.number)?.(data.configuration);
  });

  // A link leads nowhere from here.
  addEventListener("click", (event) => event.target.closest?.("a") && event.preventDefault(), true);

  tell({ says: "ready" });
})();
