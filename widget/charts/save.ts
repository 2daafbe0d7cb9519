import { Chart, configuration, heightOf } from "./draw";
import type { Figure } from "./figure";
import type { Palette } from "./palette";

/** Pixels of a picture's width as it is laid out, and how many times finer it is drawn. */
const WIDTH = 1000;
const FINER = 2;
/** Pixels for its title and its margin. */
const HEAD = 130;

/** Saves the chart as a picture that says by itself what it shows: with title, site, period and ground. */
export function savePicture(figure: Figure, palette: Palette): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = heightOf(figure) + HEAD;
  const wanted = configuration(figure, palette, { saved: true });
  const chart = new Chart(canvas, { ...wanted, options: { ...wanted.options, devicePixelRatio: FINER } });
  return new Promise((done, failed) => {
    canvas.toBlob((picture) => {
      chart.destroy();
      if (!picture) return failed(new Error("the chart could not be drawn"));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(picture);
      link.download = `${figure.file}.png`;
      link.click();
      URL.revokeObjectURL(link.href);
      done();
    }, "image/png");
  });
}
