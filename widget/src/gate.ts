import type { Choices, GateDecision } from "../consent-service";
import { askGate } from "./api";
import { config, optionalKeys, purposes, tag } from "./config";
import { happens } from "./dom";
import { emit, failed } from "./events";
import { hasGranted } from "./store";

/** Seconds until a question that got no usable answer is put again. */
const AFTER_FAILURE = 10;

let decisions: Record<string, GateDecision> = {};
/** What the visitor refuses; another object with each choice, which outdates the answers to questions put before it. */
let refused: Choices = {};
let freshUntil = 0;
let asking: Promise<void> | undefined;

/** Whether a purpose may run, by the last answer known. Everything unknown, broken or late is denied. */
export function allows(purpose: string): boolean {
  return (
    purposes.essential.some(({ key }) => key === purpose) || (decisions[purpose]?.allow === true && !refused[purpose])
  );
}

/** Whether there is nothing to wait for: the visitor has refused the purpose, or nobody asks about it. */
export function isRefused(purpose: string): boolean {
  return !!refused[purpose] || !optionalKeys().includes(purpose);
}

async function ask(): Promise<void> {
  const asked = refused;
  emit("asked", { purposes: optionalKeys() });
  const answer = await askGate().catch(failed);
  if (asked !== refused) return refresh();
  asking = undefined;
  decisions = { ...answer?.decisions };
  freshUntil = Date.now() + (answer?.max_age || AFTER_FAILURE) * 1000;
  emit("decision", { decisions });
}

/**
 * Makes the last answer a fresh one, asking at most once in its `max_age`, and not at all where the answer can only be
 * no. Never rejects.
 */
export async function refresh(): Promise<void> {
  // On a page made ready ahead of a visit that may never come, nobody is there to ask for.
  if (document.prerendering) await happens("prerenderingchange");
  if (!asking && Date.now() >= freshUntil) {
    decisions = {};
    const isOptIn = config.regime === "opt_in" || ("dnt" in tag.dataset && navigator.doNotTrack === "1");
    if (hasGranted() || !isOptIn) asking = ask();
  }
  await asking;
}

/** Denies from now on what the visitor refuses, without waiting for the service to have heard of it. */
export function bar(choices: Choices): void {
  for (const key in choices) if (!choices[key]) refused[key] = true;
}

/** Takes over the choices that stand now; answers given before them no longer count. */
export function settle(choices: Choices): void {
  refused = {};
  bar(choices);
  decisions = {};
  freshUntil = 0;
  asking = undefined;
}
