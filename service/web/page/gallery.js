// All cards: new images come first, a few are sent at a time, and what comes of them is counted and spoken.

import { Card } from "./card.js";
import { byId } from "./dom.js";
import { Queue } from "./queue.js";
import { count } from "./text.js";

const NUM_AT_ONCE = 4;
const NUM_SPOKEN = 3;
const SPEECH_DELAY_MS = 400;

export class Gallery {
  #cards = [];
  #queue = new Queue(NUM_AT_ONCE);
  #unspoken = [];
  #timer = 0;
  #server;
  #choose;
  #actions;

  /** choose: gives the model and version to ask; canExplain: whether the server explains its answers. */
  constructor(server, choose, canExplain) {
    this.#server = server;
    this.#choose = choose;
    this.#actions = {
      canExplain,
      retry: (card) => this.#retry(card),
      explain: (card, model, version) => server.explain(card.image, { model, version }),
    };
    byId("clear").addEventListener("click", () => this.#clear());
    byId("retry-all").addEventListener("click", () => {
      byId("results-heading").focus(); // the button goes away
      this.retryWhere((problem) => problem.canPass);
    });
  }

  add(images) {
    const cards = images.map((image) => new Card(image, this.#actions));
    this.#cards.unshift(...cards);
    byId("cards").prepend(...cards.map((card) => card.element));
    cards.forEach((card) => this.#send(card));
  }

  /** Sends again what failed with such a problem. */
  retryWhere(isSuch) {
    this.#cards.filter(({ problem }) => problem && isSuch(problem)).forEach((card) => this.#send(card));
  }

  #retry(card) {
    byId("results-heading").focus({ preventScroll: true });
    this.#send(card);
  }

  #send(card) {
    card.showWaiting("Waiting");
    this.#queue.add(() => this.#ask(card));
    this.#count();
  }

  async #ask(card) {
    card.showWaiting("Being classified");
    const began = performance.now();
    const [answer, problem] = await this.#server.classify(card.image, this.#choose()).then(
      (found) => [found, null],
      (error) => [null, error],
    );
    if (!this.#cards.includes(card)) return; // cleared meanwhile
    if (answer) card.showAnswer(answer, performance.now() - began);
    else card.showProblem(problem);
    this.#speak(answer ? `${card.name}: ${card.best}` : `${card.name} failed: ${problem.message}`);
    this.#count();
  }

  #clear() {
    this.#queue.clear();
    this.#cards.forEach((card) => card.dispose());
    this.#cards = [];
    this.#count();
    byId("files").focus();
  }

  #count() {
    const number = (state) => this.#cards.filter((card) => card.state === state).length;
    const parts = [[number("answered"), "answered"], [number("failed"), "failed"], [number("waiting"), "waiting"]];
    byId("results").hidden = !this.#cards.length;
    byId("tally").textContent = this.#summary(parts);
    byId("retry-all").hidden = this.#cards.filter(({ problem }) => problem?.canPass).length < 2;
  }

  #summary(parts) {
    const total = count(this.#cards.length, "image");
    return `${total}: ${parts.filter(([number]) => number).map(([number, word]) => `${number} ${word}`).join(", ")}`;
  }

  /** Few answers are spoken as they are, of many the sums. */
  #speak(sentence) {
    this.#unspoken.push(sentence);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const isLong = this.#unspoken.length > NUM_SPOKEN;
      byId("spoken").textContent = isLong ? byId("tally").textContent : this.#unspoken.join(". ");
      this.#unspoken = [];
    }, SPEECH_DELAY_MS);
  }
}
