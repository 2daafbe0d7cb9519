"use strict";

// Passkeys, which only scripts can use. Where the browser has none, the buttons stay hidden.
(() => {
  const known = window.PublicKeyCredential;
  if (!known?.parseRequestOptionsFromJSON || !known.parseCreationOptionsFromJSON) return;

  /** Calls the API; throws the error's code if it refuses. */
  async function call(address, csrf, body) {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error((await answer.json()).error.code);
    return answer.status === 204 ? null : answer.json();
  }

  async function use({ options, finish, csrf, nameField }) {
    const { public_key } = await call(options, csrf, {});
    if (!nameField) {
      const publicKey = known.parseRequestOptionsFromJSON(public_key);
      const credential = await navigator.credentials.get({ publicKey });
      return call(finish, csrf, { credential: credential.toJSON() });
    }
    const publicKey = known.parseCreationOptionsFromJSON(public_key);
    const credential = await navigator.credentials.create({ publicKey });
    const name = document.getElementById(nameField).value;
    return call(finish, csrf, { credential: credential.toJSON(), name });
  }

  for (const part of document.querySelectorAll("[data-without-passkeys]")) part.hidden = true;
  for (const part of document.querySelectorAll("[data-with-passkeys]")) part.hidden = false;
  for (const place of document.querySelectorAll("[data-passkey]")) {
    const problem = place.querySelector("[role=alert]");
    const button = place.querySelector("button");
    const field = document.getElementById(place.dataset.nameField);
    place.hidden = false;
    button.addEventListener("click", async () => {
      problem.hidden = true;
      if (field && !field.reportValidity()) return;
      button.disabled = true;
      try {
        await use(place.dataset);
        location.assign(place.dataset.next);
      } catch (error) {
        if (error.message === "reauthentication_required") location.assign(place.dataset.prove);
        problem.hidden = false;
        button.disabled = false;
      }
    });
  }
})();
