// "Why?": what of the image the score of its class hangs on, laid over the picture, with a legend and in words.

import { make } from "./dom.js";
import { percent } from "./text.js";

const NUM_COLOURS = 6;
const ROWS = ["upper", "", "lower"];
const COLUMNS = ["left", "", "right"];

export class Explanation {
  #button;
  #legend = make("div.legend", { hidden: true, role: "status" });
  #overlay = null;
  #picture;
  #ask;

  /** ask: a promise of the server's answer, which fails with a Problem. */
  constructor(name, picture, ask) {
    this.#picture = picture;
    this.#ask = ask;
    this.#button = make("button", { type: "button", "aria-pressed": "false" },
      "Why?", make("span.unseen", {}, ` ${name}`));
    this.#button.addEventListener("click", () => (this.#overlay ? this.hide() : this.#show()));
    this.element = make("div.why", {}, make("div.actions", {}, this.#button), this.#legend);
  }

  hide() {
    this.#overlay?.remove();
    this.#overlay = null;
    this.#legend.hidden = true;
    this.#button.setAttribute("aria-pressed", "false");
  }

  async #show() {
    if (this.#button.ariaBusy === "true") return;
    this.#button.ariaBusy = "true";
    this.#tell(make("p.meta", {}, "Being explained"));
    try {
      await this.#lay(await this.#ask());
    } catch (problem) {
      this.#tell(make("p.problem", {}, problem.message));
    }
    this.#button.ariaBusy = "false";
  }

  async #lay({ class_name: className, score, heat_png: png, heat }) {
    const overlay = make("img.heat", { src: `data:image/png;base64,${png}`, alt: "" });
    await overlay.decode();
    const cells = cellsOf(heat);
    const scale = make("span.scale", { "aria-hidden": "true" });
    scale.style.background = `linear-gradient(to right, ${colours(overlay, cells).join(", ")})`;
    const hasAgainst = cells.some(({ value }) => value < 0);
    this.#overlay = overlay;
    this.#picture.querySelector(".frame").append(overlay);
    this.#button.setAttribute("aria-pressed", "true");
    this.#tell(
      make("p", {}, ...inWords(make("bdi", {}, className), score, cells)),
      make("p.range", {}, hasAgainst ? "speaks against it" : "does not matter", scale, "speaks for it"));
  }

  #tell(...content) {
    this.#legend.hidden = false; // first: a screen reader hears only what changes in sight
    this.#legend.replaceChildren(...content);
  }
}

/** Heat is by how much the score falls where a part is covered. */
function inWords(className, score, cells) {
  const hottest = cells.reduce((best, cell) => (cell.value > best.value ? cell : best));
  if (hottest.value <= 0) {
    return ["The score of ", className, ` (${percent(score)}) hangs on no single part of the image.`];
  }
  const fall = `from ${percent(score)} to ${percent(Math.max(0, score - hottest.value))}`;
  const most = ` hangs most on the ${place(hottest)} of the image: with that part covered it falls ${fall}.`;
  return ["The score of ", className, most];
}

/** The colours of the overlay from the least to the most heat, read from it where the heat is nearest to each step. */
function colours(overlay, cells) {
  const { naturalWidth: width, naturalHeight: height } = overlay;
  const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(overlay, 0, 0);
  const [least, most] = [Math.min, Math.max].map((of) => of(...cells.map(({ value }) => value)));
  return Array.from({ length: NUM_COLOURS }, (_, step) => {
    const wanted = least + ((most - least) * step) / (NUM_COLOURS - 1);
    const distance = ({ value }) => Math.abs(value - wanted);
    const { x, y } = cells.reduce((best, cell) => (distance(cell) < distance(best) ? cell : best));
    const [red, green, blue, alpha] = context.getImageData(Math.floor(x * width), Math.floor(y * height), 1, 1).data;
    return `rgb(${red} ${green} ${blue} / ${(alpha / 255).toFixed(3)})`;
  });
}

/** Where a cell is, in words such as upper left or left part. */
function place({ x, y }) {
  const words = [ROWS[Math.floor(y * 3)], COLUMNS[Math.floor(x * 3)]].filter(Boolean);
  return ["centre", `${words[0]} part`, words.join(" ")][words.length];
}

/** The values with the centres of their cells, 0 to 1. */
function cellsOf(heat) {
  return heat.flatMap((row, i) =>
    row.map((value, j) => ({ value, x: (j + 0.5) / row.length, y: (i + 0.5) / heat.length })));
}
