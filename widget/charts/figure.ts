/** What the server says of a chart: every word and number of it is in the page's language already. */
export interface Figure {
  kind: "line" | "bars" | "funnel";
  title: string;
  /** Site, period and what is left out; drawn on the picture. */
  subtitle: string;
  /** Name of a picture's file, without its ending. */
  file: string;
  locale: string;
  /** Whether the values are shares of 1, and not counts. */
  shares: boolean;
  /** Of the points, or of the bars. */
  labels: string[];
  series: Series[];
}

/** A line, or all bars. Each list has an entry a label; null where there is no value. */
export interface Series {
  label: string;
  values: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  /** The value in words. */
  texts: string[];
  /** What stands at the end of a bar. */
  ends?: string[];
}
