// On the site's pages: gets the token, and hands it to the site's own edge in a cookie.
const SERVICE = "https://consent.example.com";

async function carry() {
  const asked = `${SERVICE}/v1/gate/token?site=SITE_KEY&gpc=${navigator.globalPrivacyControl ? 1 : 0}`;
  const response = await fetch(asked, { credentials: "include" }).catch(() => null);
  const { token = "", expires_at = 0 } = response?.ok ? await response.json() : {};
  document.cookie = `consent_edge=${token}; Path=/; Secure; SameSite=Lax; Expires=${new Date(expires_at).toUTCString()}`;
  // Again before it expires, but not more than once in half a minute.
  setTimeout(carry, Math.max(30_000, new Date(expires_at) - Date.now() - 30_000));
}

consentService.on("change", carry);
consentService.ready.then(carry);
