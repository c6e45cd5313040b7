// One connection of the page as data: what its fields hold, its WebSocket, its log and its filter. No elements.

import {TOPICS} from "./envelopes.js";
import {Ledger} from "./ledger.js";
import {Replies} from "./reply.js";
import {Wire} from "./wire.js";

/** What the fields of a new connection hold, by the ids of their elements. */
export const BLANK = {
  url: "", protocols: "", "binary-type": "blob", again: false, code: "1000", reason: "", tab: "text",
  text: "Hello, 世界", json: '{"hello": "world"}', hex: "48 65 6c 6c 6f",
  "reply-on": false, "reply-how": "contains", "reply-what": "ping", "reply-text": "pong {{now}}",
};

/** Fires "row" for each new row of its log, and "state" when something of the connection has changed. */
export class Session extends EventTarget {
  wire = new Wire();
  ledger = new Ledger();
  replies = new Replies();
  filter = {find: "", direction: "", opcode: ""};
  unread = 0;
  scrolled = null; // where its log was left, if not at the end
  #binary = {sent: null, received: null}; // the envelope whose payload is the next binary message, by direction

  /** `form` is {...BLANK} or what was kept of one. */
  constructor(form) {
    super();
    this.form = {...BLANK, ...form};
    this.wire.reconnect(this.form.again);
    this.wire.setBinaryType(this.form["binary-type"]);
    this.wire.addEventListener("state", () => this.dispatchEvent(new Event("state")));
    this.wire.addEventListener("message", ({detail}) => this.#message(detail));
    this.wire.addEventListener("event", ({detail}) => this.#event(detail));
  }

  /** What its tab is called: the path, with the host if it is another one than the page's. */
  get name() {
    try {
      const {host, pathname} = new URL(this.wire.asked?.url ?? this.form.url, location.href);
      return host === location.host ? pathname : host + pathname;
    } catch {
      return this.form.url;
    }
  }

  /** Adds an event {key, values} to the log. One with a line for the terminal is open, unless it comes at each attempt. */
  tell(event) {
    this.#add({direction: "event", opened: Boolean(event.values?.command) && !this.form.again, ...event});
  }

  /** Switches the automatic replies, and counts them from 0 again. */
  setReplying(on) {
    this.form["reply-on"] = on;
    this.replies = new Replies();
  }

  /** Closes the connection for good. */
  end() {
    this.wire.reconnect(false);
    this.wire.close([]);
  }

  #message(message) {
    if (message.protocol === TOPICS) this.#pair(message);
    this.#add(message);
    if (message.direction === "received" && this.form["reply-on"]) this.#reply(message);
  }

  #event(event) {
    if (event.key.startsWith("eventConnecting")) {
      this.replies = new Replies();
      this.#binary = {sent: null, received: null};
    }
    this.tell(event);
  }

  #add(row) {
    this.ledger.add(row);
    this.dispatchEvent(new CustomEvent("row", {detail: row}));
  }

  /** Notes of a binary message which envelope announced it. */
  #pair(message) {
    const {direction, opcode, payload} = message;
    if (opcode === "binary") {
      message.announced = this.#binary[direction];
      this.#binary[direction] = null;
    } else if (payload.includes('"binary"')) {
      this.#binary[direction] = announcement(payload);
    }
  }

  #reply(message) {
    const form = this.form;
    const rule = {on: form["reply-on"], how: form["reply-how"], what: form["reply-what"], text: form["reply-text"]};
    const text = this.replies.answer(rule, message, this.wire.sent.count + 1);
    if (text === null) return;
    this.wire.send(text);
    if (!this.replies.isSpent) return;
    form["reply-on"] = false;
    this.tell({key: "eventRepliesSpent", values: {count: this.replies.count}});
    this.dispatchEvent(new Event("state"));
  }
}

/** {topic, type} of an envelope with a binary payload behind it, else null. */
function announcement(text) {
  try {
    const [fields] = Object.values(JSON.parse(text));
    return fields.binary ? {topic: fields.topic ?? "", type: fields.type ?? ""} : null;
  } catch {
    return null;
  }
}
