import type { Choices } from "../consent-service";
import type { Action, Surface } from "./api";
import { fetchConfig, nonce, record } from "./api";
import { config, optionalKeys, texts, useConfig } from "./config";
import { deleteRefusedCookies } from "./cookies";
import { focusOn } from "./dom";
import { emit, failed } from "./events";
import { bar, settle } from "./gate";
import type { Press } from "./layer";
import { tickedChoices } from "./preferences";
import { runScripts, watchScripts } from "./scripts";
import { keep, standing } from "./store";
import { addStyles } from "./styles";
import { draw, layer, root, say, setBusy, status } from "./view";

let saving: Promise<void> | undefined;
let opener: Element | null = null;

/** Shows what stands on the page while nobody is in the preference centre. */
function rest(): void {
  draw(standing() ? "reopen" : "banner");
}

/** Puts the focus back to where the preference centre was opened from, or to the page. */
function returnFocus(): void {
  focusOn(opener, document.getElementById(opener?.id ?? ""));
  opener = null;
}

/** Opens the preference centre. */
export function open(from: Element | null = document.activeElement): void {
  if (layer === "preferences" || !document.body) return;
  opener = from;
  draw("preferences");
}

/** Leaves the preference centre with nothing decided. */
function close(): void {
  if (layer !== "preferences") return;
  rest();
  returnFocus();
}

async function switchLanguage(code: string): Promise<void> {
  await fetchConfig(code).then(useConfig, failed);
  draw(layer!, tickedChoices(root));
  focusOn(root.querySelector("select"));
}

async function send(action: Action, choices: Choices, surface: Surface): Promise<void> {
  const { notice_version, language } = config;
  const answer = await record({ choices, action, notice_version, language, surface });
  if (!answer.record) {
    useConfig(answer.banner);
    // Whatever the new notice says, a withdrawal stays one.
    if (action === "withdraw" && config.notice_version > notice_version) return send(action, all(false), surface);
    draw(surface);
    focusOn(root.querySelector("h2"));
    return say(texts.notice_changed, "alert");
  }

  keep(answer.record, answer.token);
  settle(answer.record.choices);
  deleteRefusedCookies(answer.record.choices);
  rest();
  status(action === "withdraw" ? texts.withdrawn : texts.saved);
  // It went with the button pressed, unless the visitor has moved on.
  if (document.activeElement === document.body) returnFocus();
  emit("change", { choices: answer.record.choices });
  runScripts().catch(failed);
}

function all(allowed: boolean): Choices {
  return Object.fromEntries(optionalKeys().map((key) => [key, allowed]));
}

async function save(action: Action): Promise<void> {
  const choices = action === "save" ? tickedChoices(root) : all(action === "accept_all");
  bar(choices);
  setBusy(true);
  try {
    await send(action, choices, layer === "banner" ? layer : "preferences");
  } catch (error) {
    say(texts.error, "alert");
    failed(error);
  }
  setBusy(false);
}

/** Records a decision; where that fails, says so and grants nothing. Never rejects. */
export async function decide(action: Action): Promise<void> {
  if (saving) {
    // A second press is one too many, but a withdrawal is always heard.
    if (action !== "withdraw") return;
    await saving;
  }
  saving = save(action);
  await saving;
  saving = undefined;
}

function listen(): void {
  root.onclick = ({ target }) => {
    if (!(target instanceof HTMLButtonElement)) return;
    const press = target.value as Press;
    if (press === "close") close();
    else if (press === "choose" || press === "reopen") open(target);
    else void decide(press);
  };
  root.onchange = ({ target }) => {
    const { id, value } = target as HTMLSelectElement;
    // The boxes have none: only the choice of language acts at once.
    if (id) switchLanguage(value).catch(failed);
  };
  // Escape. The event does not bubble.
  root.addEventListener("close", close, true);
  document.addEventListener("click", (event) => {
    const control = (event.target as Element).closest?.("[data-consent-open]");
    if (!control) return;
    event.preventDefault();
    open(control);
  });
}

/** Shows what is due and runs what is allowed. Never rejects. */
export async function start(): Promise<void> {
  try {
    addStyles(nonce);
    listen();
    // The script may run before the page has a body.
    while (!document.body) await new Promise((next) => setTimeout(next));
    // What waits for an answer is shown at once; what merely stays can come last.
    if (!standing()) rest();
    // Before the page's markup is read to its end, the text of a tag may be there only in part.
    if (document.readyState === "loading") {
      await new Promise((parsed) => document.addEventListener("DOMContentLoaded", parsed));
    }
    if (!layer) rest();
    watchScripts();
    await runScripts();
  } catch (error) {
    failed(error);
  }
}
