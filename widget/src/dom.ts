/** What may stand in an element; `false` and `undefined` do not. */
export type Child = Node | string | false | undefined;

/**
 * Makes an element. `false` and `undefined` leave an attribute or a child out. Strings become text nodes, so that no
 * text can turn into markup.
 */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | boolean | undefined>,
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const name in attributes) attributes[name] && element.setAttribute(name, attributes[name] as string);
  element.append(...(children.filter(Boolean) as (Node | string)[]));
  return element;
}

/** Does something a page or a browser may forbid; `undefined` when it did. */
export function attempt<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch {
    // It is forbidden.
  }
  return undefined;
}

/** Resolves once the document tells of an event. */
export function happens(event: string): Promise<unknown> {
  return new Promise((done) => document.addEventListener(event, done));
}

/**
 * Gives the focus to the first of these that takes it, else to the page's main content, a heading, or the control that
 * opens the preferences: it never falls back to the body.
 */
export function focusOn(...wanted: (Element | null)[]): void {
  for (const selector of ["main,[role=main]", "h1,h2,h3,#csvc-reopen"]) wanted.push(document.querySelector(selector));
  for (const element of wanted as (HTMLElement | null)[]) {
    if (!element || element === document.body) continue;
    // Lets it take the focus by script without making it a stop of the Tab key.
    if (element.tabIndex < 0) element.tabIndex = -1;
    element.focus({ preventScroll: true });
    if (document.activeElement === element) return;
  }
}
