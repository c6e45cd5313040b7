// The states that a server sends again and again, in order of the server's own time: the network delivers unevenly.

import {clamp} from "./geometry.js";

const MOST = 60; // states that are kept while nobody asks

export class States {
  #states = []; // each with the time `at` here
  #behind = Infinity; // ms from the server's time to ours

  get newest() {
    return this.#states.at(-1);
  }

  clear() {
    [this.#states, this.#behind] = [[], Infinity];
  }

  /** A state has come, which the server sent at that time of its own, in ms. */
  add(state, sent) {
    const lag = performance.now() - sent;
    // The least lag is that of the network; it grows slowly again, since the two clocks are not equally fast.
    this.#behind = lag < this.#behind || lag > this.#behind + 250 ? lag : Math.min(lag, this.#behind + 0.5);
    this.#states.push({...state, at: sent + this.#behind});
    if (this.#states.length > MOST) this.#states = this.#states.slice(-3);
  }

  /** The states before and after a time here, and which part of the way between them lies before it: 0 to 1. */
  around(time) {
    while (this.#states.length > 2 && this.#states[1].at <= time) this.#states.shift();
    const [before, after = before] = this.#states;
    const part = (time - before.at) / (after.at - before.at || 1);
    return {before, after, part: clamp(part, 0, 1)};
  }
}
