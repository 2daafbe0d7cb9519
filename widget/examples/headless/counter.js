// Runs once analytics is allowed. Nothing can unload it, so it listens for a withdrawal and stops by itself.
function count(allowed) {
  document.querySelector("#visits").textContent = `Visits are ${allowed ? "counted" : "not counted"}.`;
}

count(true);
consentService.on("change", ({ choices }) => count(choices.analytics));
