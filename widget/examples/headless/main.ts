import { createConsent } from "consent-service-widget/core";

const consent = await createConsent({
  service: "https://consent.example.com",
  site: "SITE_KEY",
  open: () => show("preferences"),
});
const banner = document.createElement("form");

function put<Tag extends "button" | "h2" | "label" | "p">(tag: Tag, text: string) {
  const element = banner.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
}

function button(text: string, press: () => void) {
  const made = put("button", text);
  made.type = "button";
  made.onclick = press;
}

/** Accept and refuse are made alike: neither may look or weigh more than the other. */
function show(surface: "banner" | "preferences", said = "") {
  const { texts, purposes, language, direction } = consent.configuration;
  const isFirst = surface === "banner";

  async function decide(action: "accept_all" | "reject_all" | "save", isAllowed: (key: string) => boolean) {
    const choices = Object.fromEntries(purposes.optional.map(({ key }) => [key, isAllowed(key)]));
    const recorded = await consent.decide(choices, action, surface);
    // A newer notice is to be shown first, or recording has failed; either way nothing is granted.
    if (!recorded) show(surface, recorded === false ? texts.notice_changed : texts.error);
  }

  function close() {
    if (isFirst) consent.postpone();
    banner.remove();
  }

  banner.replaceChildren();
  Object.assign(banner, { lang: language, dir: direction, ariaLabel: texts.title });
  put("h2", isFirst ? texts.title : texts.preferences_title);
  put("p", isFirst ? texts.body : texts.preferences_body);
  if (consent.configuration.gpc.detected) put("p", consent.configuration.gpc.note);
  if (!isFirst) {
    for (const { key, name } of purposes.optional) {
      const label = put("label", name);
      const box = label.appendChild(document.createElement("input"));
      Object.assign(box, { type: "checkbox", name: key, checked: consent.choices?.[key] ?? false });
    }
  }
  put("p", said).role = "alert";
  button(texts.accept_all, () => decide("accept_all", () => true));
  button(texts.reject_all, () => decide("reject_all", () => false));
  if (isFirst) button(texts.choose, () => show("preferences"));
  else button(texts.save, () => decide("save", (key) => new FormData(banner).has(key)));
  if (Object.values(consent.choices ?? {}).includes(true)) button(texts.withdraw, consent.withdraw);
  button(isFirst ? texts.dismiss : texts.close, close);
  document.body.prepend(banner);
}

function rest() {
  if (consent.isDue()) show("banner");
  else banner.remove();
}

// Whatever is decided, here or in another tab.
consent.on("change", rest);
document.getElementById("settings")!.onclick = consent.open;
rest();
