// The log as people see it: the newest rows at the end, filtered, walked with the arrow keys, taken home as JSON lines.

import {formatSize} from "./bytes.js";
import {BYTES, jsonLines, Ledger, passes, ROWS} from "./ledger.js";
import {formatNumber, say} from "./language.js";
import {Row} from "./row.js";

const element = (id) => document.getElementById(id);

export class Log {
  ledger = new Ledger();
  #list = element("log");
  #entries = new Map(); // row id -> Row; every row kept, whether the filter shows it or not
  #filter = {find: "", direction: "", opcode: ""};
  #newest = 0; // the id of the last row drawn
  #drawing = false;

  constructor() {
    for (const name of Object.keys(this.#filter)) {
      const control = element(name);
      control.addEventListener("input", () => {
        this.#filter[name] = control.value;
        this.#sift();
      });
      this.#filter[name] = control.value; // a reloaded page keeps what its fields held
    }
    element("clear").addEventListener("click", () => this.clear());
    element("export").addEventListener("click", () => this.export());
    element("newest").addEventListener("click", () => this.#toEnd());
    this.#list.addEventListener("scroll", () => this.#offerNewest(), {passive: true});
    this.#list.addEventListener("keydown", (event) => this.#walk(event));
    this.#list.addEventListener("focusin", ({target}) => target.classList.contains("row") && this.#stop(target));
    document.addEventListener("language", () => this.#translate());
  }

  add(row) {
    this.ledger.add(row);
    if (this.#drawing) return;
    // Once a frame at most; a hidden page has no frames, and then the ledger's bound is all that is needed.
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  clear() {
    this.ledger.clear();
    this.#draw();
  }

  /** Gives the rows that the filter shows to the browser to save. */
  async export() {
    const rows = this.ledger.rows.filter((row) => this.#passes(row));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(await jsonLines(rows), {type: "application/jsonl"}));
    link.download = `wsd-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  #passes(row) {
    return passes(row, this.#filter, this.#entry(row).searched);
  }

  #entry(row) {
    let entry = this.#entries.get(row.id);
    if (!entry) {
      entry = new Row(row);
      this.#entries.set(row.id, entry);
    }
    return entry;
  }

  #draw() {
    const atEnd = this.#atEnd();
    const {rows} = this.ledger;
    const oldest = rows.length ? rows[0].id : Infinity;
    for (const [id, entry] of this.#entries) {
      if (id >= oldest) break;
      entry.element.remove();
      this.#entries.delete(id);
    }
    let from = rows.length;
    while (from && rows[from - 1].id > this.#newest) from -= 1;
    for (const row of rows.slice(from)) {
      this.#newest = row.id;
      if (this.#passes(row)) this.#list.append(this.#entry(row).element);
    }
    this.#settle(atEnd);
  }

  #sift() {
    this.#list.replaceChildren(...this.ledger.rows.filter((row) => this.#passes(row)).map((row) => this.#entry(row).element));
    this.#settle(true);
  }

  #translate() {
    for (const entry of this.#entries.values()) entry.translate();
    this.#settle(this.#atEnd());
  }

  /** What follows a change of the rows: one stop for Tab, the words around the list, and the end in sight. */
  #settle(toEnd) {
    if (!this.#list.querySelector(".row[tabindex='0']")) {
      const last = this.#list.lastElementChild?.querySelector(".row");
      if (last) last.tabIndex = 0;
    }
    const {rows, dropped} = this.ledger;
    const shown = this.#list.childElementCount;
    const bound = {rows: formatNumber(ROWS), size: formatSize(BYTES), dropped: formatNumber(dropped)};
    const words = [say(dropped ? "boundDropped" : "bound", bound)];
    if (shown < rows.length) words.unshift(say("shown", {shown: formatNumber(shown), kept: formatNumber(rows.length)}));
    element("log-bound").textContent = words.join(" ");
    element("empty").hidden = shown > 0;
    element("empty").textContent = say(rows.length ? "emptyFilter" : "empty");
    if (toEnd) this.#toEnd();
    this.#offerNewest();
  }

  #atEnd() {
    return this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #offerNewest() {
    element("newest").hidden = this.#atEnd();
  }

  /** Makes a row the one that Tab reaches. */
  #stop(button) {
    for (const other of this.#list.querySelectorAll(".row[tabindex='0']")) other.tabIndex = -1;
    button.tabIndex = 0;
  }

  #walk(event) {
    const here = event.target.closest(".row")?.parentElement;
    if (!here) return;
    const there = {
      ArrowDown: here.nextElementSibling,
      ArrowUp: here.previousElementSibling,
      Home: this.#list.firstElementChild,
      End: this.#list.lastElementChild,
    }[event.key];
    if (!there) return;
    event.preventDefault();
    there.querySelector(".row").focus();
  }
}
