// An outbox: what is put into it is published in batches, which the server acknowledges, and by a beacon at the end.

import {randomId} from "./person.js";

const EVERY = 250; // ms between two batches

export class Outbox {
  added = 0; // how many items were added
  acknowledged = 0; // how many of them the server has acknowledged
  #options;
  #sender = randomId();
  #items = []; // for the next batch
  #number = 0; // of the last batch
  #waiting = new Map(); // batches that are not acknowledged yet, by their keys

  /**
   * A batch is {visitor, number, events}. Options: `topics`, the `url` of their route, the `topic`, `onchange`, and
   * `onlost` for a batch that is given up.
   */
  constructor(options) {
    this.#options = options;
    setInterval(() => this.#send(), EVERY);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#sendBeacons();
    });
  }

  add(item) {
    this.#items.push(item);
    this.added += 1;
    this.#options.onchange();
  }

  // lesson: send
  #nextBatch() {
    const batch = {visitor: this.#sender, number: ++this.#number, events: this.#items};
    const once = `${this.#sender}/${this.#number}`;
    this.#items = [];
    this.#waiting.set(once, batch);
    return [once, batch];
  }

  async #send() {
    if (!this.#items.length) return;
    const {topics, topic, onchange, onlost} = this.#options;
    const [once, batch] = this.#nextBatch();
    await topics.publish(topic, batch, {once}).then(() => (this.acknowledged += batch.events.length), onlost);
    this.#waiting.delete(once);
    onchange();
  }
  // end of lesson

  // lesson: beacon
  #sendBeacons() {
    if (this.#items.length) this.#nextBatch();
    for (const [once, batch] of this.#waiting) {
      const body = new Blob([JSON.stringify(batch)], {type: "application/json"});
      navigator.sendBeacon(`${this.#options.url}${this.#options.topic}?once=${encodeURIComponent(once)}`, body);
    }
  }
  // end of lesson
}
