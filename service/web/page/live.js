// The section of charts: the service's own metrics, scraped while somebody looks.

import { Chart } from "./chart.js";
import { byId } from "./dom.js";
import { histogramQuantile, increase, parse, sum } from "./prometheus.js";
import { duration, rate } from "./text.js";

const EVERY_MS = 2000;
const NUM_POINTS = 60;
const CAPTION = "Classifications by all callers, the last two minutes";
const CALLS = "cnnsvc_request_duration_seconds_count";
const BUCKETS = "cnnsvc_request_duration_seconds_bucket";
const REFUSALS = "cnnsvc_rejected_total";
// Without the calls of this page for the list of models.
const METHODS = new Set(["classify", "classify_stream"]);

export class Live {
  #server;
  #points = [];
  #last = null;
  #timer = 0;
  #isOpen = false;
  #calls = new Chart("Calls a second", [{ name: "" }], rate, NUM_POINTS);
  #latency = new Chart("Latency of answers", [{ name: "p50" }, { name: "p99" }], duration, NUM_POINTS);
  #refusals = new Chart("Refusals a second", [{ name: "" }], rate, NUM_POINTS);

  constructor(server) {
    this.#server = server;
    byId("charts").append(...[this.#calls, this.#latency, this.#refusals].map((chart) => chart.element));
    this.#draw();
    document.addEventListener("visibilitychange", () => this.#next());
  }

  /** Begins, or begins again with another token, where the description of the API says that there are metrics. */
  begin(description) {
    const operation = description.paths["/metrics"]?.get;
    this.#isOpen = false;
    if (!operation) {
      this.#note("Charts are drawn from the metrics, which this server has on a port of their own (--metrics-port).");
    } else if (operation.security && !this.#server.hasToken) {
      this.#note("Charts are drawn from the metrics, for which this server wants a token.");
    } else {
      this.#isOpen = true;
      this.#scrape();
    }
  }

  async #scrape() {
    clearTimeout(this.#timer);
    try {
      const text = await this.#server.metrics();
      const scrape = { at: performance.now() / 1000, series: parse(text, [CALLS, BUCKETS, REFUSALS]) };
      if (this.#last) this.#add(figuresBetween(this.#last, scrape));
      this.#last = scrape;
      this.#note("");
    } catch (problem) {
      this.#last = null;
      this.#isOpen = !problem.wantsToken && problem.status !== 404;
      // Of a server that is gone the page itself tells.
      if (problem.status) this.#note(`No charts: ${problem.message}`);
    }
    this.#next();
  }

  #next() {
    clearTimeout(this.#timer);
    if (this.#isOpen && !document.hidden) this.#timer = setTimeout(() => this.#scrape(), EVERY_MS);
  }

  #add(figures) {
    this.#points = [...this.#points, figures].slice(-NUM_POINTS);
    this.#draw();
  }

  #draw() {
    this.#calls.draw(this.#points.map(({ calls }) => [calls]));
    this.#latency.draw(this.#points.map(({ p50, p99 }) => [p50, p99]));
    this.#refusals.draw(this.#points.map(({ refusals }) => [refusals]));
  }

  #note(text) {
    const note = byId("live-note");
    const shown = text || CAPTION;
    if (note.textContent !== shown) note.textContent = shown;
    byId("charts").hidden = text !== "";
  }
}

/** Rates per second and latencies in ms of what happened between two scrapes. */
export function figuresBetween(before, after) {
  const seconds = after.at - before.at;
  const grown = increase(before.series, after.series);
  const own = (name) => grown.filter((each) => each.name === name && METHODS.has(each.labels.method));
  const answered = own(BUCKETS).filter(({ labels }) => labels.code === "ok");
  return {
    calls: sum(own(CALLS)) / seconds,
    p50: histogramQuantile(0.5, answered) * 1000,
    p99: histogramQuantile(0.99, answered) * 1000,
    refusals: sum(grown.filter(({ name }) => name === REFUSALS)) / seconds,
  };
}
