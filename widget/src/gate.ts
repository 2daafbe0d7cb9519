import type { Choices, GateDecision } from "../consent-service";
import type { GateAnswer } from "./api";
import { askGate } from "./api";
import { config, purposes } from "./config";
import { emit, failed } from "./events";
import { hasGranted } from "./store";

/** Seconds until a question that got no usable answer is put again. */
const AFTER_FAILURE = 10;

let decisions: Record<string, GateDecision> = {};
let refused: Choices = {};
let freshUntil = 0;
let asking: Promise<void> | undefined;
/** Counts the choices recorded on this page: each outdates the answers to questions put before it. */
let round = 0;

/** Whether a purpose may run, by the last answer known. Everything unknown, broken or late is denied. */
export function allows(purpose: string): boolean {
  if (purposes.essential.some(({ key }) => key === purpose)) return true;
  return decisions[purpose]?.allow === true && !refused[purpose];
}

async function ask(): Promise<void> {
  const asked = round;
  const answer = await askGate().catch((error: unknown): GateAnswer => {
    failed(error);
    return { decisions: {}, max_age: AFTER_FAILURE };
  });
  if (asked !== round) return refresh();
  asking = undefined;
  decisions = answer.decisions;
  freshUntil = Date.now() + (answer.max_age || AFTER_FAILURE) * 1000;
  emit("decision", { decisions });
}

/**
 * Makes the last answer a fresh one, asking at most once in its `max_age`, and not at all where the answer can only be
 * no. Never rejects.
 */
export async function refresh(): Promise<void> {
  if (!asking && Date.now() >= freshUntil) {
    decisions = {};
    if (hasGranted() || config.regime !== "opt_in") asking = ask();
  }
  await asking;
}

/** Denies from now on what the visitor refuses, without waiting for the service to have heard of it. */
export function bar(choices: Choices): void {
  for (const key in choices) if (!choices[key]) refused[key] = true;
}

/** Takes over a recorded choice; answers given before it no longer count. */
export function settle(choices: Choices): void {
  refused = {};
  bar(choices);
  decisions = {};
  freshUntil = 0;
  asking = undefined;
  round++;
}
