"use strict";

// What makes the pages handier. Every page works without it.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const element = (id) => document.getElementById(id);

  // --- Times in the reader's own zone; the page came with UTC ---------------------------------

  const zoned = new Intl.DateTimeFormat(document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  });
  for (const time of all("time[datetime]")) {
    time.title = time.textContent;
    time.textContent = zoned.format(new Date(time.dateTime));
  }

  // --- Copying --------------------------------------------------------------------------------

  async function copy(button) {
    const figure = button.closest("figure");
    const text = figure.querySelector("code");
    try {
      await navigator.clipboard.writeText(text.textContent);
      figure.querySelector("[role=status]").textContent = button.dataset.done;
      button.firstChild.textContent = button.dataset.done;
    } catch {
      // Refused, or not a secure page: what is selected can be copied by hand.
      getSelection().selectAllChildren(text);
    }
  }

  for (const button of all("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }

  // --- Menus: closed by Escape, and by going elsewhere ----------------------------------------

  for (const menu of all("[data-menu]")) {
    menu.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    for (const event of ["click", "focusin"]) {
      document.addEventListener(event, ({ target }) => {
        if (!menu.contains(target)) menu.open = false;
      });
    }
  }

  // --- Asking before a form is sent -----------------------------------------------------------

  /** Asks, with the words of the button that was pressed; resolves to whether it may go on. */
  function agreed(question, yes) {
    const dialog = element("confirm");
    element("confirm-question").textContent = question;
    dialog.querySelector("[data-yes]").textContent = yes;
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((done) => {
      dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
    });
  }

  for (const form of all("form[data-question]")) {
    form.addEventListener("submit", async (event) => {
      if (form.dataset.agreed) return;
      event.preventDefault();
      const { submitter } = event;
      if (!(await agreed(form.dataset.question, submitter.textContent))) return;
      form.dataset.agreed = "yes";
      form.requestSubmit(submitter);
    });
  }

  // --- Leaving with unsaved changes -----------------------------------------------------------

  const guarded = new Map();
  const filled = (form) => JSON.stringify([...new FormData(form)].map(([name, value]) => [name, String(value)]));

  for (const form of all("form[data-guard]")) {
    // A form that came back with errors holds what was not saved.
    guarded.set(form, form.dataset.guard === "changed" ? null : filled(form));
    form.addEventListener("submit", (event) => {
      if (!event.defaultPrevented) guarded.delete(form);
    });
  }
  addEventListener("beforeunload", (event) => {
    if ([...guarded].some(([form, before]) => before !== filled(form))) event.preventDefault();
  });

  // --- Keyboard shortcuts, which can be switched off ------------------------------------------

  const SWITCH = "console-shortcuts";
  const dialog = element("shortcuts");
  if (!dialog) return;

  const switched = element("shortcuts-on");
  try {
    switched.checked = localStorage.getItem(SWITCH) !== "off";
  } catch {
    // Nothing is kept in this browser; the shortcuts are on.
  }
  switched.addEventListener("change", () => {
    try {
      localStorage.setItem(SWITCH, switched.checked ? "on" : "off");
    } catch {
      // Then it holds for this page.
    }
  });
  for (const part of all("[data-with-script]")) part.hidden = false;
  for (const button of all("[data-open]")) {
    button.addEventListener("click", () => element(button.dataset.open).showModal());
  }

  const writes = (target) => target.closest("input, select, textarea, [contenteditable], dialog[open]");
  addEventListener("keydown", (event) => {
    if (!switched.checked || event.ctrlKey || event.metaKey || event.altKey || writes(event.target)) return;
    const search = document.querySelector("[data-search]");
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "?") {
      dialog.showModal();
    }
  });
})();
