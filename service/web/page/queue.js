// Runs jobs in the order they came, a few at a time: a browser opens six connections, and the page needs some itself.

export class Queue {
  #waiting = [];
  #numRunning = 0;
  #limit;

  constructor(limit) {
    this.#limit = limit;
  }

  /** A job is a function whose promise never fails. */
  add(job) {
    this.#waiting.push(job);
    this.#fill();
  }

  /** Forgets what has not begun. */
  clear() {
    this.#waiting = [];
  }

  #fill() {
    while (this.#numRunning < this.#limit && this.#waiting.length) this.#run(this.#waiting.shift());
  }

  async #run(job) {
    this.#numRunning += 1;
    await job();
    this.#numRunning -= 1;
    this.#fill();
  }
}
