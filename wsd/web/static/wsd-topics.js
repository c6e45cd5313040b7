// A client of topics.wsd.v1, for pages and for Node.js 22: it reconnects by itself, resumes each subscription from its
// last position, and publishes again what was not acknowledged. Import it as a module.
//
//   import {Topics} from "/_wsd/wsd-topics.js";
//   const topics = new Topics("/topics/");
//   topics.subscribe("quotes/ACME", {history: 10, onmessage: ({payload}) => ..., ongap: () => ...});
//   const position = await topics.publish("quotes/ACME", {price: 17.5});

import {Link, TopicsError} from "./wsd-topics-link.js";

export {TopicsError};

/**
 * @typedef {any} Payload What JSON can hold; a string as it is (`form: "text"`); or an ArrayBuffer or a view of one.
 * @typedef {{topic: string, position?: string, key?: string, type?: string, form: "data" | "text" | "binary",
 *   payload: Payload, from?: string}} Message A direct message has `from`, all others have `position`.
 * @typedef {{member: string, user?: string, state: any}} Member
 * @typedef {{topic: string, change: "join" | "update" | "leave"} & Member} PresenceEvent
 * @typedef {{topic: string, position?: string, skipped?: number}} Gap Messages of this topic or filter are lost;
 *   `skipped` of them, if this client read too slowly.
 * @typedef {{onmessage?: (message: Message) => void, ongap?: (gap: Gap) => void,
 *   onpresence?: (event: PresenceEvent) => void, onmembers?: (members: Member[]) => void, since?: string,
 *   history?: number, last?: boolean}} SubscribeOptions `onmembers` is called after each connection.
 * @typedef {{form?: "data" | "text", type?: string, key?: string, ttl?: number, once?: string,
 *   echo?: boolean}} PublishOptions
 */

const AGAIN_AFTER = 1_000; // ms until a subscription that was refused is tried again
const AGAIN = new Set(["busy", "unavailable"]); // refusals of a subscription that may be over soon

/** One topic or filter. `position` is where it is, to be given as `since` another time; `ready` is its first answer. */
class Subscription {
  position = null;
  own = new Set(); // positions of messages of ours that may come when we resume, and are not to be delivered then
  replayed = ["", 0]; // the end of what comes since we resumed
  isKnown = false; // the server has granted it before

  constructor(topic, options, close) {
    this.topic = topic;
    this.levels = topic.split("/");
    this.isFilter = /[+#]/.test(topic);
    this.options = options;
    this.position = options.since ?? null;
    this.close = close;
    this.ready = new Promise((resolve, reject) => Object.assign(this, {grant: resolve, refuse: reject}));
    this.ready.catch(() => {}); // the "error" event tells it as well
  }

  /** The fields of the request that begins it, or resumes it. */
  get fields() {
    const {history, last, onpresence, onmembers} = this.options;
    const presence = Boolean(onpresence || onmembers) || undefined;
    if (!this.position) return {history, last, presence};
    return {since: this.position, last: this.isKnown ? undefined : last, presence};
  }

  matches(levels) {
    if (levels[0].startsWith("$") && /^[+#]$/.test(this.levels[0])) return false;
    for (const [at, level] of this.levels.entries()) {
      if (level === "#") return true;
      if (at >= levels.length || (level !== "+" && level !== levels[at])) return false;
    }
    return this.levels.length === levels.length;
  }

  /** Everything up to this position has come. Messages of ours that follow need not come. */
  advance(position) {
    const [epoch, end] = parse(position);
    const [was, before] = parse(this.position ?? "-");
    for (const own of this.own) if (parse(own)[0] !== epoch || parse(own)[1] <= end) this.own.delete(own);
    if (epoch === was && end <= before) return;
    let offset = end;
    while (this.own.has(`${epoch}-${offset + 1}`)) {
      offset += 1;
      if (epoch !== this.replayed[0] || offset > this.replayed[1]) this.own.delete(`${epoch}-${offset}`);
    }
    this.position = `${epoch}-${offset}`;
  }

  /** A message of ours was published there: it must not come to us when we resume. */
  published(position) {
    if (this.isFilter || !this.isKnown) return;
    this.own.add(position);
    const [epoch, offset] = parse(this.position ?? "-");
    if (position === `${epoch}-${offset + 1}`) this.advance(position);
  }

  noticed(name, fields) {
    if (name === "message") {
      const isOwn = this.own.has(fields.position);
      if (!this.isFilter) this.advance(fields.position);
      if (!isOwn) call(this.options.onmessage, fields);
    } else call(name === "gap" ? this.options.ongap : this.options.onpresence, fields);
  }
}

/**
 * One connection to a route of topics, made again whenever it is lost.
 *
 * Events: "open"; "close" with `detail` {code, reason, retry}, where `retry` is the wait in milliseconds, or null when
 * it is over; "direct" with a Message; "error" with an error that no promise tells.
 */
export class Topics extends EventTarget {
  #link;
  #subscriptions = new Map();
  #present = new Map(); // topic to {state, waiting}

  /**
   * @param {string | URL} url of the route, also relative or with http:
   * @param {{token?: string | (() => string | Promise<string>)}} [options] `token` is a JWT, or gives one: for each
   *   connection, and before the one in use expires.
   */
  constructor(url, {token} = {}) {
    super();
    this.#link = new Link(url, token, {
      opened: () => this.#opened(),
      noticed: (name, fields) => this.#noticed(name, fields),
      closed: (detail) => this.#closed(detail),
      failed: (error) => this.#tell("error", error),
    });
  }

  /** Whether requests are sent at once. */
  get isOpen() {
    return this.#link.isOpen;
  }

  /** @param {string} topic or filter @param {SubscribeOptions} [options] @returns {Subscription} */
  subscribe(topic, options = {}) {
    this.#link.check();
    if (this.#subscriptions.has(topic)) throw new TopicsError("subscribed", `this client is already subscribed to ${topic}`);
    const subscription = new Subscription(topic, options, () => {
      if (!this.#subscriptions.delete(topic)) return;
      if (this.#link.isOpen) this.#link.request("unsubscribe", {topic}, {});
    });
    this.#subscriptions.set(topic, subscription);
    if (this.#link.isOpen) this.#begin(subscription);
    return subscription;
  }

  /**
   * Publish now, or when there is a connection again. It is published once, however often it is sent.
   * @param {string} topic @param {Payload} payload @param {PublishOptions} [options]
   * @returns {Promise<string>} the position
   */
  async publish(topic, payload, {form, type, key, ttl, once = randomKey(), echo} = {}) {
    const [fields, bytes] = envelope(payload, form, type);
    const request = {topic, key, ttl, once, echo, ...fields};
    const {position} = await this.#link.ask("publish", request, {bytes, survives: true});
    if (!echo) this.#subscriptions.get(topic)?.published(position);
    return position;
  }

  /**
   * A message to one member of a topic. It is not sent again: the member is another one after its next connection.
   * @param {string} topic @param {string} to @param {Payload} payload @param {{form?: string, type?: string}} [options]
   */
  async direct(topic, to, payload, {form, type} = {}) {
    const [fields, bytes] = envelope(payload, form, type);
    await this.#link.ask("direct", {topic, to, ...fields}, {bytes});
  }

  /** Be present at a topic, or change the state there. @returns {Promise<string>} our id there, for this connection */
  async enter(topic, state = null) {
    this.#link.check();
    const present = this.#present.get(topic) ?? {waiting: []};
    present.state = state;
    this.#present.set(topic, present);
    return new Promise((resolve, reject) => {
      present.waiting.push({resolve, reject});
      if (this.#link.isOpen) this.#enter(topic, present);
    });
  }

  async leave(topic) {
    const wasPresent = this.#present.delete(topic);
    if (wasPresent && this.#link.isOpen) await this.#link.ask("leave", {topic});
  }

  /** @returns {Promise<Member[]>} who is present */
  async members(topic) {
    return (await this.#link.ask("members", {topic}, {survives: true})).members;
  }

  /** End it. What is not acknowledged yet is rejected. */
  close() {
    this.#link.end(new TopicsError("closed", "this client was closed"));
  }

  #opened() {
    const subscriptions = [...this.#subscriptions.values()];
    // Topics first: what a filter brings meanwhile would come again when its topic is resumed.
    for (const each of subscriptions.sort((one, other) => one.isFilter - other.isFilter)) this.#begin(each);
    for (const [topic, present] of this.#present) this.#enter(topic, present);
    this.#tell("open");
  }

  #closed({error, ...detail}) {
    if (error) {
      for (const {refuse} of this.#subscriptions.values()) refuse(error);
      for (const {waiting} of this.#present.values()) for (const {reject} of waiting) reject(error);
      this.#subscriptions.clear();
      this.#present.clear();
      if (error.code !== "closed") this.#tell("error", error);
    }
    this.#tell("close", detail);
  }

  #noticed(name, fields) {
    if (name === "direct") this.#tell("direct", fields);
    else for (const subscription of this.#matching(fields.topic)) subscription.noticed(name, fields);
  }

  #matching(topic) {
    const levels = topic.split("/");
    return [...this.#subscriptions.values()].filter((each) => each.topic === topic || each.matches(levels));
  }

  #begin(subscription) {
    const {topic, options, fields} = subscription;
    this.#link.request("subscribe", {topic, ...fields}, {
      resolve: (answer) => {
        const isGap = answer.gap || (subscription.isFilter && subscription.isKnown);
        if (isGap) call(options.ongap, {topic, position: answer.position});
        if (answer.members) call(options.onmembers, answer.members);
        // With messages to come, they say how far it is: the connection may be lost between them.
        const {position, recovered, replayed} = answer;
        if (recovered) subscription.replayed = parse(position);
        else if (position && !(fields.history && replayed)) subscription.advance(position);
        subscription.isKnown = true;
        subscription.grant();
        if (answer.gap && options.last) this.#link.request("subscribe", {topic, last: true}, {});
      },
      reject: (error) => {
        if (error.code === "lost" || this.#subscriptions.get(topic) !== subscription) return;
        if (AGAIN.has(error.code)) {
          this.#link.later(`subscribe ${topic}`, AGAIN_AFTER, () => this.#begin(subscription));
          return;
        }
        this.#subscriptions.delete(topic);
        subscription.refuse(error);
        this.#tell("error", error);
      },
    });
  }

  #enter(topic, present) {
    const settle = (how, value) => present.waiting.splice(0).forEach((each) => each[how](value));
    this.#link.request("enter", {topic, state: present.state}, {
      resolve: ({member}) => settle("resolve", member),
      reject: (error) => {
        if (error.code === "lost") return;
        if (!present.waiting.length) this.#tell("error", error);
        settle("reject", error);
        this.#present.delete(topic);
      },
    });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, {detail}));
  }
}

/** Run a callback of the application's; what it throws is reported, and disturbs nothing here. */
function call(callback, argument) {
  try {
    callback?.(argument);
  } catch (error) {
    setTimeout(() => { throw error; });
  }
}

function parse(position) {
  const [epoch, offset] = position.split("-");
  return [epoch, Number(offset)];
}

/** The fields of a payload, and the bytes that follow its envelope. */
function envelope(payload, form, type) {
  if (payload instanceof ArrayBuffer) return [{binary: true, type}, new Uint8Array(payload.slice(0))];
  if (ArrayBuffer.isView(payload)) {
    const {buffer, byteOffset, byteLength} = payload;
    return [{binary: true, type}, new Uint8Array(buffer, byteOffset, byteLength).slice()];
  }
  return [form === "text" ? {text: payload, type} : {data: payload ?? null}, null];
}

/** crypto.randomUUID is for secure contexts alone. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
