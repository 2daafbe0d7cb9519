/** How the site wants the service to behave on its pages. */
export interface Behaviour {
  /** Logs every event to the console. */
  debug?: boolean;
  /** Loads the page anew after a withdrawal. */
  reload?: boolean;
  /** Obeys Do Not Track, where the region's rule would allow before being asked. */
  dnt?: boolean;
}

/** The same as `data-` attributes of the script's tag. */
export function attributesOf(behaviour: Behaviour): Record<string, string> {
  const wished = (["debug", "reload", "dnt"] as const).filter((name) => behaviour[name]);
  return Object.fromEntries(wished.map((name) => [name, ""]));
}
