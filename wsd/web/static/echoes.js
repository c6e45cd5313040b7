// The round trip: from sending a message to the same one coming back, first in, first out.

const WAITING = 1_000; // messages without an answer that are remembered; a silent server must not fill the memory
const KEPT = 1_000; // trips that the lowest and highest are taken from

// Two texts are the same when they are equal; two binary messages when they are of one size, since reading a Blob would
// take a turn of the event loop and cost more than the trip.
function same(one, other) {
  if (one.opcode !== other.opcode || one.size !== other.size) return false;
  return one.opcode !== "text" || one.payload === other.payload;
}

export class Echoes {
  last = null;
  #waiting = [];
  #trips = [];

  sent(message, now) {
    this.#waiting.push({message, now});
    if (this.#waiting.length > WAITING) this.#waiting.shift();
  }

  /** The milliseconds since the message was sent, or null when it is no echo. An echo skips those sent before it. */
  received(message, now) {
    const at = this.#waiting.findIndex((entry) => same(entry.message, message));
    if (at < 0) return null;
    this.last = now - this.#waiting[at].now;
    this.#waiting.splice(0, at + 1);
    this.#trips.push(this.last);
    if (this.#trips.length > KEPT) this.#trips.shift();
    return this.last;
  }

  /** {count, low, high} of the trips, or null when there are none. */
  summary() {
    if (!this.#trips.length) return null;
    return {count: this.#trips.length, low: Math.min(...this.#trips), high: Math.max(...this.#trips)};
  }
}
