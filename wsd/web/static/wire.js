// One WebSocket at a time, watched: what the page knows of its state, what passed, and when to try again.

import {Echoes} from "./echoes.js";
import {utf8} from "./bytes.js";
import {openSocket} from "./why.js";

const WATCH = 100; // ms between looks at readyState and bufferedAmount, neither of which has an event
const FIRST = 500; // ms of back-off at the first try, doubled at each further one
const LONGEST = 30_000; // ms
const STEADY = 5_000; // ms a connection must have lasted for the back-off to start anew

/** The wait before try 1, 2, ...: doubling, capped, and between half and all of it so that clients spread out. */
export function backOff(attempt, random = Math.random) {
  const ceiling = Math.min(LONGEST, FIRST * 2 ** (attempt - 1));
  return ceiling * (0.5 + random() / 2);
}

function sizeOf(payload) {
  if (typeof payload === "string") return utf8(payload).length;
  return payload.size ?? payload.byteLength;
}

/**
 * Fires "state" (look again), and as CustomEvents "message" {direction, payload, opcode, size, trip, protocol} and
 * "event" {key, values}. `state` is null before the first connection, else the readyState.
 */
export class Wire extends EventTarget {
  socket = null;
  binaryType = "blob";
  again = false;
  attempt = 0;
  due = null; // performance.now() of the next try
  closed = null; // {code, reason, wasClean} of the last connection that ended
  sent = {count: 0, bytes: 0};
  received = {count: 0, bytes: 0};
  echoes = new Echoes();
  asked = null; // {url, protocols} of the last connect()
  #unwanted = false; // the person closed it, so it stays closed
  #next = null; // {url, protocols} to connect to when this one has closed
  #openedAt = null;
  #watch = null;
  #timer = null;

  get state() {
    return this.socket ? this.socket.readyState : null;
  }

  /** Whether a connection may be opened: there is none, or it has ended. */
  get idle() {
    return this.state === null || this.state === WebSocket.CLOSED;
  }

  /** Opens a connection when there is none; what the browser throws at a bad address (SecurityError, SyntaxError) comes through. */
  connect(url, protocols) {
    if (!this.idle) return;
    this.#forget();
    this.attempt = 0;
    this.asked = {url, protocols};
    this.#open();
  }

  /** Closes the connection that there is, and opens this one when it has closed. */
  reconnectTo(url, protocols) {
    if (this.idle) {
      this.connect(url, protocols);
      return;
    }
    this.close([1000]);
    this.#next = {url, protocols};
  }

  /** Sends a string, Blob or ArrayBuffer; false when the connection is not open. */
  send(payload) {
    if (this.state !== WebSocket.OPEN) return false;
    const message = {
      direction: "sent", payload, opcode: typeof payload === "string" ? "text" : "binary", size: sizeOf(payload), trip: null,
      protocol: this.socket.protocol,
    };
    this.echoes.sent(message, performance.now());
    this.socket.send(payload);
    this.#count(this.sent, message);
    return true;
  }

  /** Closes with checked [code, reason], and does not come back; while waiting for a try it stops the trying. */
  close(argumentsOfClose) {
    this.#unwanted = true;
    this.#next = null;
    if (this.due !== null) {
      this.#forget();
      this.#tell("eventStopped");
    } else if (this.socket && this.socket.readyState < WebSocket.CLOSING) {
      this.#tell("eventClosing");
      this.socket.close(...argumentsOfClose);
    }
    this.#changed();
  }

  /** Switches the reconnecting; off also ends a wait. */
  reconnect(on) {
    this.again = on;
    if (!on && this.due !== null) {
      this.#forget();
      this.#tell("eventStopped");
      this.#changed();
    }
  }

  /** What to do with binary messages, from the next one on. */
  setBinaryType(type) {
    this.binaryType = type;
    if (this.socket) this.socket.binaryType = type;
  }

  #open() {
    const {url, protocols} = this.asked;
    const {socket, why} = openSocket(url, protocols);
    this.socket = socket;
    this.#unwanted = false;
    this.#openedAt = null;
    this.sent = {count: 0, bytes: 0};
    this.received = {count: 0, bytes: 0};
    this.echoes = new Echoes();
    socket.binaryType = this.binaryType;
    socket.onopen = () => this.#opened();
    socket.onmessage = ({data}) => this.#received(data);
    socket.onerror = () => this.#tell("eventError");
    socket.onclose = (event) => {
      this.#ended(event);
      if (!event.wasClean) this.#tellWhy(why);
    };
    this.#watch ??= setInterval(() => this.#changed(), WATCH);
    this.#tell(protocols.length ? "eventConnectingAs" : "eventConnecting", {url, protocols: protocols.join(", ")});
    this.#changed();
  }

  #opened() {
    this.#openedAt = performance.now();
    const {protocol, extensions} = this.socket;
    this.#tell("eventOpen", {protocol, extensions});
    this.#changed();
  }

  #received(payload) {
    const now = performance.now();
    const message = {
      direction: "received", payload, opcode: typeof payload === "string" ? "text" : "binary", size: sizeOf(payload),
      protocol: this.socket.protocol,
    };
    message.trip = this.echoes.received(message, now);
    this.#count(this.received, message);
  }

  #ended({code, reason, wasClean}) {
    clearInterval(this.#watch);
    this.#watch = null;
    this.closed = {code, reason, wasClean};
    this.#tell(reason ? "eventClosedReason" : "eventClosed", {...this.closed, ...this.#sums()});
    if (this.#openedAt !== null && performance.now() - this.#openedAt >= STEADY) this.attempt = 0;
    if (this.#next) this.#openNext();
    else if (this.again && !this.#unwanted) this.#wait();
    this.#changed();
  }

  /** What went over a connection that was open: its seconds, messages and bytes. */
  #sums() {
    if (this.#openedAt === null) return {};
    const {sent, received} = this;
    const seconds = Number(((performance.now() - this.#openedAt) / 1000).toFixed(1));
    return {
      seconds, sent: sent.count, sentBytes: sent.bytes, received: received.count, receivedBytes: received.bytes,
    };
  }

  #openNext() {
    const {url, protocols} = this.#next;
    this.#next = null;
    try {
      this.connect(url, protocols);
    } catch (error) {
      this.#tell("eventRefused", {why: error.message});
    }
  }

  /** Tells what the browser hides: why there is no connection, or how it ended. */
  async #tellWhy(why) {
    const reason = await why();
    if (!reason) return;
    if (reason.command) reason.values.command = reason.command;
    this.#tell(reason.key, reason.values);
  }

  #wait() {
    this.attempt += 1;
    const wait = backOff(this.attempt);
    this.due = performance.now() + wait;
    this.#tell("eventWaiting", {seconds: (wait / 1000).toFixed(1), attempt: this.attempt});
    this.#watch = setInterval(() => this.#changed(), WATCH);
    this.#timer = setTimeout(() => {
      this.#forget();
      this.#open();
    }, wait);
  }

  /** No try is due any more. */
  #forget() {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.due = this.#timer = this.#watch = null;
  }

  #count(tally, message) {
    tally.count += 1;
    tally.bytes += message.size;
    this.dispatchEvent(new CustomEvent("message", {detail: message}));
  }

  #tell(key, values = {}) {
    this.dispatchEvent(new CustomEvent("event", {detail: {key, values}}));
  }

  #changed() {
    this.dispatchEvent(new Event("state"));
  }
}
