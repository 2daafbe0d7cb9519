import type { Choices } from "../consent-service";
import type { Action, Surface } from "./api";
import { record } from "./api";
import { config, optionalKeys, tag, useConfig } from "./config";
import { attempt } from "./dom";
import { emit, failed } from "./events";
import { bar, settle } from "./gate";
import { more } from "./load-more";
import type { ConsentRecord } from "./store";
import { hasChanged, keep, standing } from "./store";
import { sinceSeen } from "./tell";

/** Whether something was recorded; nothing where it failed. */
export type Outcome = boolean | void;

let deciding: Promise<Outcome> | undefined;
let channel: BroadcastChannel | undefined;

/** The same answer for every purpose. */
export function all(allowed: boolean): Choices {
  return Object.fromEntries(optionalKeys().map((key) => [key, allowed]));
}

/** Deletes what refused purposes have left behind, where there is anything besides what the service itself keeps. */
function cleanUp(choices: Choices): void {
  const isEmpty = attempt(() =>
    document.cookie
      .split("; ")
      .concat(Object.keys(localStorage), Object.keys(sessionStorage))
      .every((name) => name.startsWith(config.cookie)),
  );
  if (!isEmpty && Object.values(choices).includes(false)) more().then((rest) => rest.deleteRefused(choices), failed);
}

/** Takes over the choices that stand now, if they have changed. */
function take(): Choices | undefined {
  if (!hasChanged()) return undefined;
  const choices = { ...standing() };
  settle(choices);
  cleanUp(choices);
  return choices;
}

/** Makes this page follow the choices that stand now, if they have changed: here, in another tab, or on a subdomain. */
export function follow(): void {
  const choices = take();
  if (choices) emit("change", { choices });
}

/** Takes over a record of this visitor's as the newest, here and in other tabs. */
export function adopt(record: ConsentRecord, token: string): void {
  keep(record, token);
  follow();
  channel?.postMessage(0);
}

async function send(choices: Choices, action: Action, surface: Surface): Promise<boolean> {
  const { notice_version } = config;
  bar(choices);
  const answer = await record({ choices, action, surface, after_ms: sinceSeen() });
  if (answer.record) {
    adopt(answer.record, answer.token);
    if (action === "withdraw" && "reload" in tag.dataset) location.reload();
    return true;
  }
  useConfig(answer.banner);
  // Whatever the new notice says, a withdrawal stays one.
  return action === "withdraw" && config.notice_version > notice_version && send(all(false), action, surface);
}

/**
 * Records a decision. What it refuses is denied from the call on. Never rejects; resolves to `true` when it is recorded,
 * to `false` where a newer notice, from then on in use, has to be shown first, and to nothing where it failed.
 */
export async function decide(
  choices: Choices,
  action: Action = "save",
  surface: Surface = "preferences",
): Promise<Outcome> {
  // A second press is one too many, but a withdrawal is always heard.
  if (deciding && action !== "withdraw") return deciding;
  bar(choices);
  emit("deciding", { choices });
  await deciding;
  return (deciding = send(choices, action, surface)
    .catch(failed)
    .finally(() => {
      deciding = undefined;
    }));
}

/** Takes up the choices that stand, and from now on those made elsewhere. */
export function stayInStep(): void {
  take();
  attempt(() => {
    (channel = new BroadcastChannel(config.cookie)).onmessage = follow;
  });
  addEventListener("visibilitychange", follow);
}
