// A small line chart: SVG for the eye, its figures as text beside it and as the name of the picture.

import { make } from "./dom.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 64;

export class Chart {
  #series;
  #format;
  #title;
  #numPoints;
  #svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  #paths;
  #values;
  #most = make("span.most", { "aria-hidden": "true" });

  /** series: [{name}], one for each line, "" where it is the only one; numPoints fill the width. */
  constructor(title, series, format, numPoints) {
    this.#title = title;
    this.#series = series;
    this.#format = format;
    this.#numPoints = numPoints;
    this.#paths = series.map((_, index) => svg("path", { class: `line line-${index}` }));
    this.#values = series.map(() => make("dd"));
    this.#svg.append(...[1, HEIGHT / 2, HEIGHT - 1].map(gridLine), ...this.#paths);
    this.element = make("figure.chart", {}, this.#caption(), make("div.plot", {}, this.#svg, this.#most));
  }

  /** points: for each moment, oldest first, one value a series; NaN is a gap. */
  draw(points) {
    const most = Math.max(...points.flat().filter(Number.isFinite), 0);
    this.#paths.forEach((path, index) => path.setAttribute("d", this.#line(points.map((each) => each[index]), most)));
    const latest = this.#series.map((_, index) => this.#format(points.at(-1)?.[index] ?? NaN));
    latest.forEach((text, index) => { this.#values[index].textContent = text; });
    this.#most.textContent = most ? this.#format(most) : "";
    const words = this.#series.map(({ name }, index) => `${name} ${latest[index].replace("–", "none")}`.trim());
    const label = `${this.#title}: ${words.join(", ")} now; at most ${this.#format(most)} in the chart`;
    this.#svg.setAttribute("aria-label", label);
  }

  #caption() {
    const rows = this.#series.map(({ name }, index) => make("div", {},
      make(name ? `dt.key.key-${index}` : "dt.unseen", {}, name || "now"), this.#values[index]));
    return make("figcaption", {}, make("h3", {}, this.#title), make("dl", {}, ...rows));
  }

  #line(values, most) {
    const step = WIDTH / (this.#numPoints - 1);
    const first = this.#numPoints - values.length;
    let isDrawing = false;
    return values.map((value, index) => {
      const command = isDrawing ? "L" : "M";
      isDrawing = Number.isFinite(value);
      if (!isDrawing) return "";
      const x = (first + index) * step;
      const y = HEIGHT - 1 - (most ? value / most : 0) * (HEIGHT - 4);
      // A point alone would be a line of no length, which is not drawn.
      return `${command}${x.toFixed(1)} ${y.toFixed(1)}${command === "M" ? "h0.01" : ""}`;
    }).join("");
  }
}

function gridLine(y) {
  return svg("path", { class: "grid", d: `M0 ${y}H${WIDTH}` });
}

function svg(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
