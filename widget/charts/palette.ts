/** Colours and type of a chart, as the style sheet has them. */
export interface Palette {
  paper: string;
  ink: string;
  soft: string;
  line: string;
  series: string[];
  font: string;
}

/** Reads the colours that hold at an element: those of the page, or of what is printed and saved. */
export function paletteAt(element: Element): Palette {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    paper: colour("card"),
    ink: colour("ink"),
    soft: colour("soft"),
    line: colour("line"),
    series: [1, 2, 3, 4, 5].map((number) => colour(`series-${number}`)),
    font: style.fontFamily,
  };
}

/** Returns the colour, this opaque (0 to 1). */
export function faded(colour: string, opaque: number): string {
  return `${colour}${Math.round(opaque * 255).toString(16).padStart(2, "0")}`;
}
