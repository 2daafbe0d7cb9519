/** Draws the charts of the console's page of rates. Each table below a chart says the same without it. */
import { Chart, configuration, heightOf } from "./draw";
import type { Figure } from "./figure";
import { paletteAt } from "./palette";
import { savePicture } from "./save";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = document.querySelector(".on-paper")!;
const plots: { plot: HTMLElement; redraw: (on: Element) => void }[] = [];
/** Of a chart on a page of A4 or Letter. */
const PRINTED_WIDTH = "640px";

for (const place of document.querySelectorAll<HTMLElement>("[data-chart]")) {
  const figure = JSON.parse(place.querySelector("script")!.text) as Figure;
  const canvas = place.querySelector("canvas")!;
  const plot = canvas.parentElement!;
  plot.hidden = false;
  plot.style.height = `${heightOf(figure)}px`;
  let chart = new Chart(canvas, configuration(figure, paletteAt(place), { moves: !still.matches }));
  plots.push({
    plot,
    redraw: (on) => {
      chart.destroy();
      chart = new Chart(canvas, configuration(figure, paletteAt(on), {}));
    },
  });
  const button = place.querySelector<HTMLButtonElement>("button[data-picture]")!;
  button.hidden = false;
  button.addEventListener("click", () => void savePicture(figure, paletteAt(paper)));
}

function redraw(on: Element, width = ""): void {
  for (const each of plots) {
    each.plot.style.width = width;
    each.redraw(on);
  }
}

dark.addEventListener("change", () => redraw(document.documentElement));

// --- On paper: the colours of daylight, and all numbers ----------------------------------------

let opened: HTMLDetailsElement[] = [];

addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll<HTMLDetailsElement>("main details:not([open])")];
  for (const part of opened) part.open = true;
  redraw(paper, PRINTED_WIDTH);
});
addEventListener("afterprint", () => {
  for (const part of opened) part.open = false;
  redraw(document.documentElement);
});

for (const button of document.querySelectorAll<HTMLButtonElement>("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// --- The form: own days are asked for where they are wanted -------------------------------------

const period = document.querySelector<HTMLSelectElement>("[name=period]");
const days = document.querySelectorAll<HTMLElement>("[data-own-days]");

function showDays(): void {
  for (const field of days) field.hidden = period?.value !== "own";
}

period?.addEventListener("change", showDays);
showDays();
