import type { Chart, Plugin } from "chart.js";
import type { Figure, Series } from "./figure";
import { faded, type Palette } from "./palette";

interface At {
  x: number;
  low: number;
  high: number;
}

/** Half the length of the line across the end of a whisker, in pixels. */
const CAP = 4;

/** Draws the interval around each value: a band around a line, a whisker on a bar. */
export function intervals(figure: Figure, palette: Palette): Plugin {
  const each = (chart: Chart, draw: (series: Series, index: number) => void) =>
    figure.series.forEach((series, index) => {
      if (chart.isDatasetVisible(index)) draw(series, index);
    });
  return {
    id: "intervals",
    beforeDatasetsDraw(chart) {
      if (figure.kind !== "line") return;
      // Several lie on one another.
      const strength = figure.series.length > 1 ? 0.09 : 0.16;
      each(chart, (series, index) => {
        for (const run of runs(chart, series, index)) drawBand(chart.ctx, run, palette.series[index]!, strength);
      });
    },
    afterDatasetsDraw(chart) {
      if (figure.kind !== "bars") return;
      each(chart, (series, index) => drawWhiskers(chart, series, index, palette.ink));
    },
  };
}

/** Returns the points that follow one another without a gap. */
function runs(chart: Chart, series: Series, index: number): At[][] {
  const scale = chart.scales["y"]!;
  const found: At[][] = [];
  let open: At[] | undefined;
  series.values.forEach((_, place) => {
    const [low, high] = [series.low[place], series.high[place]];
    if (low == null || high == null) {
      open = undefined;
      return;
    }
    const { x } = chart.getDatasetMeta(index).data[place]!;
    if (!open) found.push((open = []));
    open.push({ x, low: scale.getPixelForValue(low), high: scale.getPixelForValue(high) });
  });
  return found;
}

function drawBand(context: CanvasRenderingContext2D, run: At[], colour: string, strength: number): void {
  context.save();
  context.beginPath();
  if (run.length === 1) {
    const { x, low, high } = run[0]!;
    whisker(context, [x, low], [x, high]);
    context.strokeStyle = colour;
    context.stroke();
  } else {
    for (const { x, high } of run) context.lineTo(x, high);
    for (const { x, low } of [...run].reverse()) context.lineTo(x, low);
    context.fillStyle = faded(colour, strength);
    context.fill();
  }
  context.restore();
}

function drawWhiskers(chart: Chart, series: Series, index: number, colour: string): void {
  const { ctx: context, scales } = chart;
  const scale = scales["x"]!;
  context.save();
  context.beginPath();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  chart.getDatasetMeta(index).data.forEach(({ y }, place) => {
    const [low, high] = [series.low[place], series.high[place]];
    if (low == null || high == null) return;
    whisker(context, [scale.getPixelForValue(low), y], [scale.getPixelForValue(high), y]);
  });
  context.stroke();
  context.restore();
}

function whisker(context: CanvasRenderingContext2D, from: [number, number], to: [number, number]): void {
  const [across, along] = from[0] === to[0] ? [CAP, 0] : [0, CAP];
  context.moveTo(...from);
  context.lineTo(...to);
  for (const [x, y] of [from, to]) {
    context.moveTo(x - across, y - along);
    context.lineTo(x + across, y + along);
  }
}

/** Writes what stands at the ends of the bars, beyond the whiskers. */
export function ends(figure: Figure, palette: Palette): Plugin {
  return {
    id: "ends",
    afterDatasetsDraw(chart) {
      const { ctx: context, scales } = chart;
      figure.series.forEach((series, index) => {
        context.save();
        context.font = `600 12px ${palette.font}`;
        context.fillStyle = palette.ink;
        context.textBaseline = "middle";
        chart.getDatasetMeta(index).data.forEach(({ x, y }, place) => {
          const high = series.high[place];
          const end = Math.max(x, high == null ? 0 : scales["x"]!.getPixelForValue(high));
          if (series.values[place] != null) context.fillText(series.ends?.[place] ?? "", end + 8, y);
        });
        context.restore();
      });
    },
  };
}

/** Paints the ground, which is transparent otherwise. */
export function ground(palette: Palette): Plugin {
  return {
    id: "ground",
    beforeDraw({ ctx: context, width, height }) {
      context.save();
      context.fillStyle = palette.paper;
      context.fillRect(0, 0, width, height);
      context.restore();
    },
  };
}
