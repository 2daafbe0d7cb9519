"use strict";

// Hands the frame what the visitor's widget was told, and which boxes were ticked in the end.
(() => {
  const frame = document.querySelector("iframe");
  const { configuration, layer, ticked, label } = JSON.parse(frame.dataset.shown);
  const send = (message) => frame.contentWindow.postMessage(message, "*");
  addEventListener("message", ({ source, data }) => {
    if (source !== frame.contentWindow || !data) return;
    const scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    if (data.says === "ready") send({ asks: "show", configuration, layer, ticked, label, scheme });
    // It was shown in one language, and stays in it.
    else if (data.says === "language") send({ asks: "language", number: data.number, configuration });
  });
  // Not before somebody listens.
  frame.src = frame.dataset.address;
})();
