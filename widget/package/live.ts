/**
 * What the gate allows, kept for the bindings: it changes with the events of the service, and never in between. The
 * service's own `allows` is `false` while an answer is renewed, on which a page would take down what it just put up.
 */
import type { Choices, ConsentService } from "../consent-service.js";

/** No purpose is allowed: on the server, and before the gate has answered. */
export const NOTHING: ReadonlySet<string> = new Set();

let allowed = NOTHING;
let service: ConsentService | undefined;
const watched = new Set<string>();
const listeners = new Set<() => void>();

/** The purposes allowed now. */
export function allowedNow(): ReadonlySet<string> {
  return allowed;
}

function update(isAllowed: (purpose: string) => boolean): void {
  allowed = new Set([...watched].filter(isAllowed));
  for (const listener of [...listeners]) listener();
}

async function ask(found: ConsentService): Promise<void> {
  // The page asks once for all of them.
  await Promise.all([...watched].map((purpose) => found.gate(purpose)));
  update(found.allows);
}

let arrive: (service: ConsentService) => void;
/** The service, once there is one to follow. */
export const arrived = new Promise<ConsentService>((resolve) => {
  arrive = resolve;
});

/** Follows the service from now on. */
export function follow(found: ConsentService): void {
  if (found === service) return;
  service = found;
  arrive(found);
  const takeOver = (): void => update(found.allows);
  // What is refused ends at once; what is still granted stays while the gate is asked anew.
  const end = ({ choices }: { choices: Choices }): void =>
    update((purpose) => (choices[purpose] ? allowed.has(purpose) : found.allows(purpose)));
  found.on("decision", takeOver);
  found.on("error", takeOver);
  found.on("deciding", end);
  found.on("change", (change) => {
    end(change);
    void ask(found);
  });
  void ask(found);
}

/** Has the gate asked about a purpose, and tells the listener of every answer until the function returned is called. */
export function watch(purpose: string, listener: () => void): () => void {
  watched.add(purpose);
  listeners.add(listener);
  if (service) void ask(service);
  return () => listeners.delete(listener);
}
