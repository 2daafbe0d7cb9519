/** Draws the charts of the console's page of rates. Each table below a chart says the same without it. */
import { Chart, configuration, heightOf } from "./draw";
import type { Figure } from "./figure";
import { paletteAt } from "./palette";
import { savePicture } from "./save";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = document.querySelector(".on-paper")!;
const redraws: ((on: Element) => void)[] = [];

for (const place of document.querySelectorAll<HTMLElement>("[data-chart]")) {
  const figure = JSON.parse(place.querySelector("script")!.text) as Figure;
  const canvas = place.querySelector("canvas")!;
  const plot = canvas.parentElement!;
  plot.hidden = false;
  plot.style.height = `${heightOf(figure)}px`;
  let chart = new Chart(canvas, configuration(figure, paletteAt(place), { moves: !still.matches }));
  redraws.push((on) => {
    chart.destroy();
    chart = new Chart(canvas, configuration(figure, paletteAt(on), {}));
  });
  const button = place.querySelector<HTMLButtonElement>("button[data-picture]")!;
  button.hidden = false;
  button.addEventListener("click", () => void savePicture(figure, paletteAt(paper)));
}

const redraw = (on: Element) => redraws.forEach((each) => each(on));
dark.addEventListener("change", () => redraw(document.documentElement));

// --- On paper: the colours of daylight, and all numbers ----------------------------------------

let opened: HTMLDetailsElement[] = [];

addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll<HTMLDetailsElement>("main details:not([open])")];
  for (const part of opened) part.open = true;
  redraw(paper);
});
addEventListener("afterprint", () => {
  for (const part of opened) part.open = false;
  redraw(document.documentElement);
});

// --- The form: own days are asked for where they are wanted -------------------------------------

const period = document.querySelector<HTMLSelectElement>("[name=period]");
const days = document.querySelectorAll<HTMLElement>("[data-own-days]");

function showDays(): void {
  for (const field of days) field.hidden = period?.value !== "own";
}

period?.addEventListener("change", showDays);
showDays();
