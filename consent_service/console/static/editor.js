"use strict";

// What makes the notice's pages livelier: the preview as one types, and what is missing beside its field. Without it the
// form does all the same, one press of a button at a time.
(() => {
  const panel = document.querySelector("[data-preview]");
  if (!panel) return;

  /** Milliseconds without a key pressed until the preview follows. */
  const PAUSE = 400;
  /** Milliseconds after which a frame that says nothing is begun anew. */
  const PATIENCE = 5000;
  const WIDTHS = { phone: 360, desktop: 1280 };
  const HEIGHTS = { phone: 640, desktop: 800 };
  /** Pixels of the panel without its screen. */
  const BELOW = 370;
  const beside = matchMedia("(min-width: 75rem)");
  /** The editor's form; a version that was published has none. */
  const form = () => document.getElementById("notice");

  // --- The frames: one is seen while the other is drawn, and none before the first is drawn -----

  const screen = panel.querySelector("[data-screens]");
  const state = panel.querySelector("[data-state]");
  let [seen, next] = panel.querySelectorAll("iframe");
  let size = "phone";
  /** What the widget is to be told, and what it was told last. */
  let told;
  let sent;
  /** What had the focus before the frame was drawn. */
  let holder;
  /** When the frame that is not seen began to be drawn; 0 when it is not. */
  let begun = 0;

  const choice = (name) => panel.querySelector(`[data-choice=${name}]`);
  const send = (frame, message) => frame.contentWindow.postMessage(message, "*");

  function fit() {
    // Beside the form, all of the panel is in view, with what can be chosen below the screen.
    const room = beside.matches ? Math.max(280, innerHeight - BELOW) / HEIGHTS[size] : 1;
    const scale = Math.min(1, room, screen.clientWidth / WIDTHS[size]);
    screen.style.height = `${Math.round(HEIGHTS[size] * scale)}px`;
    for (const frame of [seen, next]) {
      frame.style.width = `${WIDTHS[size]}px`;
      frame.style.height = `${HEIGHTS[size]}px`;
      frame.style.transform = `translateX(${Math.max(0, (screen.clientWidth - WIDTHS[size] * scale) / 2)}px) scale(${scale})`;
    }
  }

  function draw(configuration) {
    told = configuration;
    // One after the other: what comes meanwhile is drawn next.
    if (Date.now() - begun < PATIENCE) return;
    begun = Date.now();
    next.contentWindow.location.replace(next.dataset.address);
  }

  function swap() {
    next.inert = false;
    next.classList.remove("drawn-next");
    // Nobody is to come upon what is not seen.
    seen.inert = true;
    seen.classList.add("drawn-next");
    [seen, next] = [next, seen];
    begun = 0;
    state.textContent = "";
    // The preference centre takes the focus to itself, from where somebody may be typing.
    if (document.activeElement === seen && holder !== seen) {
      seen.blur();
      holder?.focus({ preventScroll: true });
    }
    if (told !== sent) draw(told);
  }

  addEventListener("message", async ({ source, data }) => {
    const frame = [seen, next].find(({ contentWindow }) => contentWindow === source);
    if (!frame || !data) return;
    if (data.says === "ready" && frame === next && told) {
      sent = told;
      holder = document.activeElement;
      const { label } = panel.dataset;
      send(frame, { asks: "show", configuration: told, layer: choice("layer").value, scheme: choice("scheme").value, label });
    } else if (data.says === "drawn" && frame === next) swap();
    else if (data.says === "language") {
      const answer = await ask(String(data.language));
      if (answer) send(frame, { asks: "language", number: data.number, configuration: answer.configuration });
    }
  });

  // --- What the widget is told, and what is missing --------------------------------------------

  let round = 0;
  let pause;

  async function ask(language) {
    const visitor = { language, region: choice("region").value, regime: choice("regime").value, gpc: choice("gpc").checked };
    const query = new URLSearchParams(visitor);
    const { check, shown } = panel.dataset;
    const response = check
      ? await fetch(`${check}?${query}`, { method: "POST", body: new URLSearchParams(new FormData(form())) })
      : await fetch(`${shown}?${query}`);
    return response.ok && response.headers.get("Content-Type")?.includes("json") ? response.json() : undefined;
  }

  async function update() {
    clearTimeout(pause);
    const asked = ++round;
    const answer = await ask(choice("lang").value).catch(() => undefined);
    if (asked !== round) return;
    if (!answer) {
      state.textContent = panel.dataset.failed;
      return;
    }
    draw(answer.configuration);
    if (answer.problems) tellProblems(answer.problems);
  }

  function tellProblems(problems) {
    const summary = document.getElementById("todo");
    const title = document.getElementById("todo-title");
    summary.hidden = !problems.length;
    title.textContent = title.dataset.count.replace("{number}", problems.length);
    summary.querySelector("ul").replaceChildren(
      ...problems.map(({ name, place, message }) => {
        const line = document.createElement("li");
        const link = document.createElement("a");
        link.href = `#f-${name}`;
        link.textContent = place;
        line.append(link, `: ${message}`);
        return line;
      }),
    );
    const byName = Map.groupBy ? Map.groupBy(problems, ({ name }) => name) : grouped(problems);
    for (const field of form().querySelectorAll("[id^='f-'][name]")) {
      mark(field, byName.get(field.name)?.map(({ message }) => message).join(" ") ?? "");
    }
  }

  function grouped(problems) {
    const found = new Map();
    for (const problem of problems) found.set(problem.name, [...(found.get(problem.name) ?? []), problem]);
    return found;
  }

  /** Says beside a field what is wrong with it, or that nothing is any more. */
  function mark(field, message) {
    const around = field.closest(".field");
    if (!around) return;
    const id = `${field.id}-error`;
    let line = document.getElementById(id);
    around.classList.toggle("wrong", !!message);
    if (!message) line?.remove();
    else {
      if (!line) {
        line = Object.assign(document.createElement("p"), { id, className: "error" });
        field.before(line);
      }
      line.textContent = message;
    }
    const described = new Set((field.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean));
    described[message ? "add" : "delete"](id);
    if (described.size) field.setAttribute("aria-describedby", [...described].join(" "));
    else field.removeAttribute("aria-describedby");
    if (message) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }

  // --- The form --------------------------------------------------------------------------------

  function soon() {
    clearTimeout(pause);
    pause = setTimeout(update, PAUSE);
  }

  /** Adds, removes or moves a part where the page stands, as the server would on a page of its own. */
  async function act(button) {
    const body = new URLSearchParams(new FormData(form(), button));
    const response = await fetch(form().action, { method: "POST", body });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById("notice");
    if (!response.ok || !fresh) return form().requestSubmit(button);
    const open = new Set([...form().querySelectorAll("details[open]")].map(called));
    form().querySelector(".whole").replaceWith(fresh.querySelector(".whole"));
    for (const part of form().querySelectorAll("details")) part.open ||= open.has(called(part));
    const languages = page.getElementById("p-lang");
    const chosen = choice("lang").value;
    choice("lang").replaceChildren(...languages.children);
    if ([...choice("lang").options].some(({ value }) => value === chosen)) choice("lang").value = chosen;
    goOn(fresh.dataset.focus);
    return update();
  }

  /** What tells a part that opens from the others. */
  const called = (part) => part.querySelector("[name]")?.name ?? part.textContent;

  /** Puts the focus to where one goes on after an addition, a removal or a move. */
  function goOn(name) {
    if (!name) return;
    const button = form().querySelector(`button[value="${CSS.escape(name)}"]`);
    const target = document.getElementById(`f-${name}`) ?? button;
    target?.focus();
    target?.scrollIntoView({ block: "center" });
  }

  if (form()) {
    goOn(form().dataset.focus);
    form().addEventListener("input", soon);
    form().addEventListener("submit", (event) => {
      if (!event.submitter?.matches("[data-act]") || event.submitter.dataset.sent) return;
      event.preventDefault();
      act(event.submitter).catch(() => {
        event.submitter.dataset.sent = "yes";
        form().requestSubmit(event.submitter);
      });
    });
    // Where a line of the summary leads: into parts that are closed, too.
    document.addEventListener("click", ({ target }) => {
      const link = target.closest?.("a[href^='#f-']");
      const field = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
      for (let part = field?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    });
  }

  for (const part of panel.querySelectorAll("[data-choice]")) part.addEventListener("change", update);
  for (const button of panel.querySelectorAll("button[data-screen]")) {
    button.addEventListener("click", () => {
      size = button.dataset.screen;
      for (const each of panel.querySelectorAll("button[data-screen]")) each.setAttribute("aria-pressed", String(each === button));
      fit();
      void update();
    });
  }

  fit();
  addEventListener("resize", fit);
  new ResizeObserver(fit).observe(screen);
  void update();
})();
