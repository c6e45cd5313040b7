// The connections of the page: which there are, which one is shown, and what of them is kept for the next visit.

import {recallHere, rememberHere} from "./memory.js";
import {Session} from "./session.js";

const KEY = "connections";
const SOON = 400; // ms after a change until it is kept
const LONGEST = 100_000; // characters of a field that are kept
const MOST = 20; // connections that are kept

/** Fires "list" when connections come, go or are chosen, "row" {session, row} and "state" {session}. */
export class Sessions extends EventTarget {
  list = [];
  active = null;
  #timer = null;

  constructor() {
    super();
    window.addEventListener("pagehide", () => this.#timer && this.#keep());
  }

  /** Brings back what was kept of the last visit, without connecting, and says whether something was; else adds `form`. */
  restore(form) {
    const {forms, active} = kept();
    for (const each of forms) this.#take(new Session({...each, "reply-on": false}));
    if (!forms.length) this.#take(new Session(form));
    this.choose(this.list[active] ?? this.list[0]);
    return forms.length > 0;
  }

  /** Adds a connection with that form, shows it and returns it. */
  add(form) {
    const session = new Session(form);
    this.#take(session);
    this.choose(session);
    this.save();
    return session;
  }

  choose(session) {
    this.active = session;
    session.unread = 0;
    this.#tell("list");
    this.save();
  }

  /** Ends a connection and takes it off the page. The last one is replaced by a new one with the same fields. */
  remove(session) {
    const at = this.list.indexOf(session);
    session.end();
    this.list.splice(at, 1);
    if (!this.list.length) this.#take(new Session(session.form));
    this.choose(session === this.active ? this.list[Math.max(0, at - 1)] : this.active);
  }

  /** Keeps the fields soon. */
  save() {
    this.#timer ??= setTimeout(() => this.#keep(), SOON);
  }

  #keep() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const short = ([, value]) => typeof value !== "string" || value.length <= LONGEST;
    const forms = this.list.slice(0, MOST).map(({form}) => Object.fromEntries(Object.entries(form).filter(short)));
    rememberHere(KEY, JSON.stringify({forms, active: this.list.indexOf(this.active)}));
  }

  #take(session) {
    this.list.push(session);
    session.addEventListener("row", ({detail}) => {
      if (session !== this.active && detail.direction === "received") session.unread += 1;
      this.#tell("row", {session, row: detail});
    });
    session.addEventListener("state", () => this.#tell("state", {session}));
  }

  #tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, {detail}));
  }
}

function kept() {
  try {
    const {forms, active} = JSON.parse(recallHere(KEY));
    return {forms: forms.filter((form) => form instanceof Object), active};
  } catch {
    return {forms: [], active: 0};
  }
}
