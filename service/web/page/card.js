// One image: its picture, and below it the answer or what went wrong.

import { make, say } from "./dom.js";
import { Explanation } from "./explanation.js";
import { duration, percent } from "./text.js";

const STAGES = [
  ["decode_ms", "Decode"],
  ["queue_ms", "Queue"],
  ["inference_ms", "Inference"],
  ["total_ms", "Server total"],
];
let numCards = 0;

export class Card {
  state = "waiting";
  problem = null;
  /** The best class as text, or that none fits, once there is an answer. */
  best = "";
  #url;
  #picture = make("div.picture");
  #body = make("div.body");
  #explanation = null;
  #timer = 0;

  /** actions: `retry` and `explain`, called with this card; `canExplain` says whether the server can. */
  constructor(image, actions) {
    this.image = image;
    this.actions = actions;
    this.name = image.name || "pasted image";
    const heading = make("h3", { id: `card-${++numCards}` }, make("bdi", {}, this.name));
    this.element = make("li.card", {}, make("article", { "aria-labelledby": heading.id },
      this.#picture, make("div.facts", {}, heading, this.#body)));
    this.#url = URL.createObjectURL(image);
    this.#showPicture();
    this.showWaiting("Waiting");
  }

  /** Lets go of the image's memory. */
  dispose() {
    clearTimeout(this.#timer);
    URL.revokeObjectURL(this.#url);
    this.element.remove();
  }

  showWaiting(word) {
    this.#turn("waiting", make("p.meta", {}, word));
  }

  showAnswer({ model, version, results, timings }, roundTripMs) {
    const { classes, rejected } = results[0];
    const closest = `${classes[0].name}, ${percent(classes[0].score)}`;
    this.best = rejected ? `none of these classes; closest is ${closest}` : closest;
    const times = [...STAGES.map(([key, name]) => [name, timings[key]]), ["Round trip", roundTripMs]];
    this.element.classList.toggle("is-rejected", Boolean(rejected));
    this.#turn("answered",
      make("p.meta", {}, make("bdi", {}, model), ` version ${version}`),
      ...(rejected ? [make("p.rejected", {}, "None of these classes fits.")] : []),
      make("ol.scores", { role: "list" }, ...classes.map(scoreRow)),
      make("dl.times", {}, ...times.map(([name, ms]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, duration(ms))))));
    if (this.actions.canExplain()) {
      this.#explanation = new Explanation(this.name, this.#picture, () => this.actions.explain(this, model, version));
      this.#body.append(this.#explanation.element);
    }
  }

  showProblem(problem) {
    this.problem = problem;
    this.#turn("failed", make("p.problem", {}, problem.message));
    if (!problem.canPass) return;
    const unseen = make("span.unseen", {}, ` with ${this.name}`);
    const button = make("button", { type: "button" }, "Try again", unseen);
    const when = make("p.meta");
    button.addEventListener("click", () => this.actions.retry(this));
    this.#body.append(make("div.actions", {}, button, when));
    this.#countDown(when, performance.now() + problem.retryAfterS * 1000);
  }

  #countDown(when, until) {
    const leftS = Math.ceil((until - performance.now()) / 1000);
    if (leftS > 0) {
      say(when, `The server asks to wait for ${leftS} s more.`);
      this.#timer = setTimeout(() => this.#countDown(when, until), 250);
    } else {
      say(when, this.problem.retryAfterS ? "It can be tried again now." : "");
    }
  }

  #turn(state, ...content) {
    clearTimeout(this.#timer);
    this.#explanation?.hide();
    this.#explanation = null;
    if (state !== "failed") this.problem = null;
    this.state = this.element.dataset.state = state;
    this.#body.replaceChildren(...content);
  }

  #showPicture() {
    const picture = make("img", { src: this.#url, alt: "", decoding: "async" });
    picture.addEventListener("error", () => picture.replaceWith(make("p.meta", {}, "No preview")));
    this.#picture.append(make("div.frame", {}, picture));
  }
}

function scoreRow({ name, score }) {
  const fill = make("span.fill");
  fill.style.width = `${score * 100}%`;
  return make("li", {},
    make("bdi.name", {}, name), make("span.score", {}, percent(score)),
    make("span.track", { "aria-hidden": "true" }, fill));
}
