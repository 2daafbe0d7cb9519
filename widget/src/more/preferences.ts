import type { Choices } from "../../consent-service";
import { call } from "../api";
import type { Purpose, Service } from "../config";
import { config, purposes, tag, texts } from "../config";
import type { Child } from "../dom";
import { el } from "../dom";
import { actions, button, words } from "../layer";
import { readCookie, stored, TOKEN } from "../store";

const PARTS = ["name", "duration", "party", "description"] as const;

/** A row for each thing said about a cookie: as readable on a narrow screen as on a wide one. */
function cookieTable({ name, cookies }: Service): HTMLElement {
  const rows = cookies.flatMap((cookie) => {
    const said = { ...cookie, party: texts[`party_${cookie.party}`] };
    return PARTS.map((part) => el("tr", {}, el("th", {}, texts[`cookie_${part}`]), el("td", {}, said[part])));
  });
  return el("table", { "aria-label": name }, ...rows);
}

function serviceItem(service: Service): HTMLElement {
  return el(
    "div",
    {},
    el("p", {}, el("b", {}, service.name), ` · ${texts.provider}: ${service.provider}`),
    service.cookies.length ? cookieTable(service) : el("p", {}, texts.no_cookies),
  );
}

function purposeItem({ description, services }: Purpose, ...heading: Child[]): HTMLElement {
  return el(
    "article",
    {},
    el("h4", {}, ...heading),
    el("p", {}, description),
    el("details", {}, el("summary", {}, `${texts.services} (${services.length})`), ...services.map(serviceItem)),
  );
}

/** Words only: a ticked box that cannot be unticked would look like a choice made for the visitor. */
function essentialItem(purpose: Purpose): HTMLElement {
  return purposeItem(purpose, purpose.name, el("span", {}, texts.always_on));
}

function optionalItem(purpose: Purpose, allowed?: boolean): HTMLElement {
  const { name, key, category } = purpose;
  const label = texts.allow.replace("{name}", () => name);
  const box = {
    type: "checkbox",
    "aria-label": label,
    "data-purpose": key,
    "data-category": category,
    checked: allowed,
  };
  return purposeItem(purpose, el("label", {}, name, el("input", box)));
}

/** Whom to ask. */
function contact(): HTMLElement {
  const { name, email, address } = config.dpo;
  const lines = [name, el("a", { href: `mailto:${email}` }, email), address];
  return el("article", {}, el("h4", {}, texts.contact), ...lines.map((line) => el("p", {}, line)));
}

/**
 * Leads to the receipt of the newest choice, if there is one. A browser that keeps the token for a foreign host sends no
 * cookie with a link, so there the token fetches a link that needs none.
 */
function receipt(): Child {
  const { site } = config;
  const record = readCookie("choices").split("~")[3];
  const href = String(new URL(`/v1/records/${record}/receipt.html?site=${site}`, tag.src));
  const link = el("a", { href, target: "_blank", rel: "noopener" }, texts.receipt);
  link.onclick = (event) => {
    if (!stored(TOKEN)) return;
    event.preventDefault();
    // At once, while the browser still sees that it was wished for. The page there cuts itself off from this one.
    const page = open()!;
    call<{ receipt_url: string }>(`/v1/sites/${site}/consents/me`).then(
      ({ receipt_url }) => (page.location = receipt_url.replace("json?", "html?")),
      // The page there says what is wrong.
      () => (page.location = href),
    );
  };
  return record && el("p", {}, link);
}

/** What is ticked in a preference centre now. */
export function tickedChoices(root: ParentNode): Choices {
  const boxes = [...root.querySelectorAll<HTMLInputElement>("[data-purpose]")];
  return Object.fromEntries(boxes.map((box) => [box.dataset["purpose"], box.checked]));
}

/**
 * The second layer: every purpose with its services and cookies, and a box for each that may be refused.
 *
 * @param choices - the boxes to tick
 * @param hasGranted - whether there is anything to withdraw
 */
export function buildPreferences(choices: Choices | undefined, hasGranted: boolean): HTMLDialogElement {
  return el(
    "dialog",
    { "aria-label": texts.preferences_title },
    words(
      texts.preferences_title,
      texts.preferences_body,
      texts.close,
      el("h3", {}, texts.optional_title),
      ...purposes.optional.map((purpose) => optionalItem(purpose, choices?.[purpose.key])),
      el("h3", {}, texts.essential_title),
      el("p", {}, texts.essential_reason),
      ...purposes.essential.map(essentialItem),
      contact(),
      receipt(),
    ),
    actions(undefined, hasGranted ? "withdraw" : "reject_all", button("save", "csvc-solid")),
  );
}
