import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  type ChartDataset,
  type ChartOptions,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  SubTitle,
  Title,
  Tooltip,
} from "chart.js";
import type { Figure } from "./figure";
import { ends, ground, intervals } from "./intervals";
import type { Palette } from "./palette";

Chart.register(
  BarController,
  BarElement,
  CategoryScale,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  SubTitle,
  Title,
  Tooltip,
);

type Axis = NonNullable<NonNullable<ChartOptions["scales"]>[string]>;

/** Lines are told apart by more than their colour. */
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [14, 5]];
const SHAPES = ["circle", "rect", "triangle", "rectRot", "star"] as const;

/** Pixels of a bar with the room around it, and of what is not bars. */
const ROW = 38;
const AROUND = 56;
const LINE_HEIGHT = 300;

/** Pixels of a chart, as it stands on the page. */
export function heightOf({ kind, labels }: Figure): number {
  return kind === "line" ? LINE_HEIGHT : AROUND + ROW * labels.length;
}

/**
 * Says to Chart.js how a figure is drawn.
 *
 * @param moves - whether values may grow into their place
 * @param saved - whether it is drawn for a file: with its title, and at the size of its canvas
 */
export function configuration(
  figure: Figure,
  palette: Palette,
  { moves = false, saved = false }: { moves?: boolean; saved?: boolean },
): ChartConfiguration {
  const { kind, labels, series } = figure;
  const line = kind === "line";
  return {
    type: line ? "line" : "bar",
    data: {
      labels,
      datasets: series.map((_, index) => (line ? lineOf(figure, palette, index) : barsOf(figure, palette, index))),
    },
    options: {
      locale: figure.locale,
      font: { family: palette.font, size: 12 },
      color: palette.ink,
      animation: moves ? { duration: 250 } : false,
      responsive: !saved,
      maintainAspectRatio: false,
      indexAxis: line ? "x" : "y",
      interaction: { mode: line ? "index" : "nearest", axis: line ? "x" : "y", intersect: false },
      layout: { padding: roomAround(figure, saved) },
      scales: line
        ? { x: namesAxis(palette), y: valuesAxis(figure, palette) }
        : { y: namesAxis(palette, true), x: valuesAxis(figure, palette) },
      plugins: {
        legend: { display: series.length > 1, position: "bottom", labels: { usePointStyle: true, boxHeight: 7, color: palette.ink, padding: 16 } },
        title: { display: saved, text: figure.title, align: "start", color: palette.ink, font: { size: 20, weight: "bold" } },
        subtitle: { display: saved, text: figure.subtitle, align: "start", color: palette.soft, font: { size: 14 }, padding: { bottom: 16 } },
        tooltip: {
          usePointStyle: true,
          callbacks: {
            label: ({ datasetIndex, dataIndex }) => {
              const { label, texts } = series[datasetIndex]!;
              return series.length > 1 ? `${label}: ${texts[dataIndex]}` : (texts[dataIndex] ?? "");
            },
          },
        },
      },
    },
    plugins: [ground(palette), intervals(figure, palette), ...(line ? [] : [ends(figure, palette)])],
  };
}

/** Leaves room for what is written at the ends of bars. */
function roomAround({ kind }: Figure, saved: boolean): { top: number; right: number; bottom: number; left: number } {
  const margin = saved ? 20 : 0;
  const right = { line: 8, bars: 52, funnel: 110 }[kind];
  return { top: margin + 8, right: margin + right, bottom: margin, left: margin };
}

function lineOf({ series, labels }: Figure, palette: Palette, index: number): ChartDataset {
  const { label, values } = series[index]!;
  const colour = palette.series[index]!;
  return {
    type: "line",
    label,
    data: values,
    borderColor: colour,
    backgroundColor: colour,
    borderWidth: 2,
    borderDash: DASHES[index]!,
    pointStyle: SHAPES[index]!,
    // Many points would hide the line that they are on.
    pointRadius: labels.length > 40 ? 0 : 3.5,
    pointHoverRadius: 5,
    pointBorderWidth: SHAPES[index] === "star" ? 2 : 1,
    spanGaps: false,
    // Points stand out over the edge.
    clip: 8,
  };
}

function barsOf({ series, kind }: Figure, palette: Palette, index: number): ChartDataset {
  const { label, values } = series[index]!;
  return {
    type: "bar",
    label,
    data: values,
    backgroundColor: palette.series[kind === "funnel" ? 1 : 0]!,
    borderRadius: 3,
    maxBarThickness: 22,
  };
}

/** The axis of points or of groups. */
function namesAxis(palette: Palette, all = false): Axis {
  return {
    grid: { display: false },
    border: { color: palette.line },
    ticks: {
      color: palette.ink,
      maxRotation: 0,
      autoSkip: !all,
      autoSkipPadding: 16,
      callback(value) {
        const name = this.getLabelForValue(Number(value));
        return this.axis === "x" ? name : inLines(name, Math.max(16, Math.round(this.chart.width / 25)));
      },
    },
  };
}

/** Breaks a name into two lines at most, and cuts what does not fit them. */
function inLines(name: string, longest: number): string[] {
  const end = name.length <= longest ? name.length : name.lastIndexOf(" ", longest);
  const shown = end > 0 ? [name.slice(0, end), name.slice(end + 1)].filter(Boolean) : [name];
  return shown.map((line) => (line.length > longest ? `${line.slice(0, longest - 1)}…` : line));
}

function valuesAxis(figure: Figure, palette: Palette): Axis {
  const { locale, shares, series } = figure;
  const written = new Intl.NumberFormat(locale, shares ? { style: "percent" } : {});
  const highest = Math.max(0, ...series.flatMap(({ values, high }) => [...values, ...high].map((value) => value ?? 0)));
  return {
    beginAtZero: true,
    suggestedMax: shares ? Math.min(1, Math.max(0.1, highest)) : Math.max(1, highest),
    ...(shares && highest > 0.8 ? { max: 1 } : {}),
    grid: { color: palette.line },
    border: { display: false },
    ticks: {
      color: palette.soft,
      maxTicksLimit: 6,
      precision: shares ? 2 : 0,
      callback: (value: number | string) => written.format(Number(value)),
    },
  };
}

export { Chart };
