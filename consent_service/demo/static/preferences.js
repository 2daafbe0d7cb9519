"use strict";

// Remembers the colour theme. Its tag in the page is plain text, and the consent service runs
// it only when the gate allows preferences: without that the theme still works, for one visit.
(() => {
  if (window.momoPulsePreferences) return;
  window.momoPulsePreferences = true;

  const PURPOSE = "preferences";
  const COOKIE = "mp_theme";
  const SIX_MONTHS = 180 * 24 * 60 * 60;
  const consent = window.consentService;

  function rememberTheme() {
    const theme = document.documentElement.dataset.theme;
    if (!theme || !consent.allows(PURPOSE)) return;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${COOKIE}=${theme}; Max-Age=${SIX_MONTHS}; Path=/; SameSite=Lax${secure}`;
  }

  /** Applies the theme of an earlier visit; one that was picked on this page comes before it. */
  function recallTheme() {
    const pair = document.cookie.split("; ").find((item) => item.startsWith(`${COOKIE}=`));
    const theme = pair ? CSS.escape(pair.slice(COOKIE.length + 1)) : "";
    const option = document.querySelector(`input[name="theme"][value="${theme}"]`);
    if (!option) return;
    option.checked = true;
    document.documentElement.dataset.theme = option.value;
  }

  document.addEventListener("change", ({ target }) => {
    if (target.name === "theme") rememberTheme();
  });
  consent.on("change", ({ choices }) => {
    if (choices[PURPOSE]) consent.gate(PURPOSE).then(rememberTheme);
  });
  if (document.documentElement.dataset.theme) rememberTheme();
  else recallTheme();
})();
