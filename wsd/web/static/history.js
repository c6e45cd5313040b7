// What was connected to and sent before, the newest first: kept for the next visit and offered again.

import {recallList, rememberList} from "./memory.js";

const LONGEST = 16_384; // characters of an entry
const SOON = 500; // ms after a change until it is kept

/** A list of entries without equals. `same` says whether two are. */
export class History {
  entries;
  #timer = null;

  /** `changed` is called soon after a change. */
  constructor(name, most, same, changed) {
    Object.assign(this, {name, most, same, changed});
    this.entries = recallList(name).slice(0, most);
    window.addEventListener("pagehide", () => this.#timer && this.#keep());
  }

  add(entry) {
    if (this.entries.length && this.same(this.entries[0], entry)) return;
    if (Object.values(entry).some((value) => value.length > LONGEST)) return;
    this.entries = [entry, ...this.entries.filter((other) => !this.same(other, entry))].slice(0, this.most);
    this.#timer ??= setTimeout(() => this.#keep(), SOON);
  }

  #keep() {
    clearTimeout(this.#timer);
    this.#timer = null;
    rememberList(this.name, this.entries);
    this.changed();
  }
}
