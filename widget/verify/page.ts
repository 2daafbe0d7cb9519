/** The page on which anybody checks a receipt. The file is read here and sent nowhere; only the keys are fetched. */
import { isAble, KeysRefused, PublicKeys, type Step, type Verdict, verify } from "./verify";

interface Texts {
  [name: string]: string | Record<string, string>;
}

const texts = JSON.parse(element("texts").textContent!) as Texts;
const result = element("result");
const details = element("details");
const keysState = element("keys-state");
const MARKS = { passed: "✓", failed: "✗", not_reached: "·" };
const LOOKS = { proven: "good", erased: "good", signed: "warn", refused: "bad" };

interface Receipt {
  name: string;
  bytes: Uint8Array;
}

let keys: PublicKeys | undefined;
let receipt: Receipt | undefined;
/** Counts what was asked for, so that what comes late does not overwrite what was asked for after it. */
let newest = 0;

// ---- Elements and texts

function element(id: string): HTMLElement {
  return document.getElementById(id)!;
}

function make(name: string, text = "", className = ""): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function say(name: string, values: Record<string, unknown> = {}): string {
  return fill(texts[name] as string, values);
}

function sayOf(group: string, name: string, values: Record<string, unknown> = {}): string {
  return fill((texts[group] as Record<string, string>)[name] ?? name, values);
}

function fill(text: string, values: Record<string, unknown>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

function note(look: string, ...parts: HTMLElement[]): void {
  const made = make("div", "", `note ${look}`);
  made.append(...parts);
  result.replaceChildren(made);
}

// ---- Checking

async function check(): Promise<void> {
  const asked = ++newest;
  if (!receipt || !keys) return;
  details.hidden = true;
  note("", make("p", say("checking", { name: receipt.name })));
  const verdict = await verify(receipt.bytes, keys);
  if (asked === newest) show(verdict, receipt.name);
}

function show(verdict: Verdict, name: string): void {
  const failed = verdict.steps.find((step) => step.state === "failed");
  const mark = MARKS[failed ? "failed" : "passed"];
  note(
    LOOKS[verdict.kind],
    make("h3", verdict.kind === "signed" ? say("signed") : `${mark} ${say(verdict.kind)}`),
    make("p", say(`${verdict.kind}_said`)),
    ...(failed ? [make("p", `${sayOf("step_names", failed.id)}: ${reason(failed)}`)] : []),
  );
  element("facts").replaceChildren(...facts(verdict, name).flatMap(([field, value]) => [
    make("dt", sayOf("fields", field)),
    make("dd", value),
  ]));
  element("steps").replaceChildren(...verdict.steps.map((step) => shown(step, !!failed)));
  details.hidden = false;
  element("result-title").scrollIntoView({ block: "nearest" });
}

function shown(step: Step, afterFailure: boolean): HTMLElement {
  const item = make("li", "", step.state);
  const mark = make("span", MARKS[step.state], "mark");
  mark.ariaHidden = "true";
  const name = make("strong", sayOf("step_names", step.id));
  name.append(make("span", `: ${say(step.state)}`, "unseen"));
  const said = {
    passed: () => sayOf("step_passed", step.id),
    failed: () => reason(step),
    not_reached: () => say(afterFailure ? "after_failure" : "waits"),
  };
  item.append(mark, name, make("span", said[step.state](), "said"));
  return item;
}

function reason(step: Step): string {
  const special = `${step.id}.${step.code}`;
  const name = special in (texts["reasons"] as object) ? special : step.code!;
  return sayOf("reasons", name, { detail: step.detail?.slice(0, 100) });
}

/** Who chose what, when and where. Of a file that is refused, its name alone: the rest is not to be believed. */
function facts({ kind, document, ledger, unknown_witnesses: count }: Verdict, name: string): [string, string][] {
  const found: [string, string][] = [["file_name", name]];
  if (!document) return found;
  const text = (member: string) => String(document[member] ?? "");
  if (text("type") === "tombstone") {
    found.push(["erased_at", time(text("erased_at"))], ["made_at", time(text("created_at"))]);
    found.push(["reason", text("reason")], ["site_key", text("site_key")], ["record_id", text("record_id")]);
  } else {
    const choices = Object.entries(document["choices"] as Record<string, boolean>);
    const purposes = (wanted: boolean) =>
      choices.filter(([, chosen]) => chosen === wanted).map(([key]) => key).join(", ") || say("nothing");
    found.push(["created_at", time(text("created_at"))], ["action", sayOf("actions", text("action"))]);
    found.push(["allowed", purposes(true)], ["refused", purposes(false)]);
    found.push(["site_key", text("site_key")], ["visitor_id", text("visitor_id")], ["record_id", text("id")]);
  }
  if (kind !== "signed" && ledger) found.push(["ledger", ledger.origin], ["leaf", say("leaf", ledger)]);
  if (count) found.push(["witnesses", say("unknown_witnesses", { count })]);
  return found;
}

function time(text: string): string {
  return `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`;
}

// ---- What is given: a receipt, keys

async function read(file: File): Promise<Receipt | undefined> {
  try {
    return { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
  } catch {
    newest++;
    details.hidden = true;
    note("bad", make("p", say("unreadable", { name: file.name })));
    return undefined;
  }
}

async function takeReceipt(file: File | undefined): Promise<void> {
  const found = file && (await read(file));
  if (!found) return;
  receipt = found;
  if (keys) await check();
  else note("warn", make("p", keysState.textContent!));
}

async function takeKeys(file: File | undefined): Promise<void> {
  const found = file && (await read(file));
  if (!found) return;
  await useKeys(found.bytes, say("keys_file", { name: found.name }), say("keys_wrong", { name: found.name }));
}

async function useKeys(bytes: Uint8Array, said: string, otherwise: string): Promise<void> {
  try {
    keys = await new PublicKeys().add(bytes);
    keysState.textContent = said;
  } catch (error) {
    if (!(error instanceof KeysRefused)) throw error;
    // Those before it stay in use for no check that is made from now on.
    keys = undefined;
    newest++;
    details.hidden = true;
    keysState.textContent = otherwise;
    note("bad", make("p", otherwise));
  }
  await check();
}

async function fetchKeys(): Promise<void> {
  const missing = say("keys_missing");
  // A saved copy of the page has no service to ask.
  if (location.protocol === "file:") {
    keysState.textContent = missing;
    return;
  }
  keysState.textContent = say("keys_loading");
  try {
    const response = await fetch(keysState.dataset["keys"]!, { cache: "no-cache", credentials: "omit" });
    if (!response.ok) throw new Error(response.statusText);
    const bytes = new Uint8Array(await response.arrayBuffer());
    // Whoever chose a file of their own meanwhile keeps it.
    if (!keys) await useKeys(bytes, say("keys_published"), missing);
  } catch {
    if (!keys) keysState.textContent = missing;
  }
}

/** Calls for each file that is chosen; the same one may be chosen again after it was changed. */
function onChosen(id: string, take: (file: File | undefined) => Promise<void>): void {
  const input = element(id) as HTMLInputElement;
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    void take(file).then(() => (input.value = ""));
  });
}

function listen(): void {
  onChosen("receipt", takeReceipt);
  onChosen("keys", takeKeys);
  const drop = element("drop");
  // Anywhere on the page: a browser would open a file that is dropped beside the place for it.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    void takeReceipt(event.dataTransfer?.files[0]);
  });
}

async function begin(): Promise<void> {
  if (await isAble()) {
    listen();
    await fetchKeys();
    return;
  }
  for (const input of document.querySelectorAll("input")) input.disabled = true;
  note("bad", make("p", say(isSecureContext ? "unable" : "insecure")));
}

void begin();
