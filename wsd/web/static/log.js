// The log as people see it: the newest rows at the end, filtered, walked with the arrow keys, exported.

import {formatSize} from "./bytes.js";
import {BYTES, passes, ROWS} from "./ledger.js";
import {formatNumber, say} from "./language.js";
import {jsonLines} from "./lines.js";
import {readLine, searched} from "./preview.js";
import {Row} from "./row.js";
import {Scroller} from "./scroller.js";

const element = (id) => document.getElementById(id);

export class Log {
  #list = element("log");
  #session = null;
  #filter = null; // that of the session, with `find` in lower case
  #current = null; // the id of the row that Tab reaches
  #newest = 0; // the id of the last row drawn
  #drawing = false;
  #reading = false;
  #scroller;

  /** `actions` are {copy, resend, edit}, each of which takes a row. */
  constructor(actions) {
    this.#scroller = new Scroller(this.#list, (row) => new Row(row, actions));
    for (const name of ["find", "direction", "opcode"]) {
      element(name).addEventListener("input", ({target}) => {
        this.#session.filter[name] = target.value;
        this.#sift();
      });
    }
    element("clear").addEventListener("click", () => this.clear());
    element("export").addEventListener("click", () => this.export());
    element("newest").addEventListener("click", () => this.#scroller.toEnd());
    this.#list.addEventListener("scroll", () => this.#offerNewest(), {passive: true});
    this.#list.addEventListener("keydown", (event) => this.#walk(event));
    this.#list.addEventListener("focusin", ({target}) => target.classList.contains("row") && this.#stop(target));
    document.addEventListener("language", () => this.#translate());
  }

  /** Shows the log of another connection. */
  show(session) {
    if (this.#session) this.#session.scrolled = this.#scroller.isAtEnd ? null : this.#list.scrollTop;
    const {scrolled} = session;
    this.#session = session;
    for (const [name, value] of Object.entries(session.filter)) element(name).value = value;
    this.#sift();
    if (scrolled !== null) this.#list.scrollTop = scrolled;
  }

  /** There is a new row: draws once a frame at most. A hidden page has no frames, and needs none. */
  drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  clear() {
    this.#session.ledger.clear();
    this.#sift();
  }

  /** Gives the rows that the filter shows to the browser to save. */
  async export() {
    this.#draw();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(await jsonLines(this.#scroller.items), {type: "application/jsonl"}));
    link.download = `wsd-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  #passes(row) {
    return passes(row, this.#filter, searched);
  }

  #draw() {
    const atEnd = this.#scroller.isAtEnd;
    const {rows} = this.#session.ledger;
    const {items} = this.#scroller;
    const oldest = rows.length ? rows[0].id : Infinity;
    const gone = items.findIndex(({id}) => id >= oldest);
    if (gone) this.#scroller.dropFirst(gone < 0 ? items.length : gone);
    let from = rows.length;
    while (from && rows[from - 1].id > this.#newest) from -= 1;
    for (const row of rows.slice(from)) {
      this.#newest = row.id;
      if (this.#passes(row)) items.push(row);
    }
    this.#readLines(rows.slice(from));
    this.#settle(atEnd);
  }

  #sift() {
    const {ledger, filter} = this.#session;
    const {rows} = ledger;
    this.#filter = {...filter, find: filter.find.toLowerCase()};
    this.#newest = rows.at(-1)?.id ?? 0;
    this.#scroller.reset(rows.filter((row) => this.#passes(row)));
    this.#readLines(rows);
    this.#settle(true);
  }

  /** What is searched of binary messages is read only when something is searched; then it is searched again. */
  async #readLines(rows) {
    const unread = this.#filter.find ? rows.filter((row) => row.opcode === "binary" && row.line === undefined) : [];
    if (!unread.length || this.#reading) return;
    this.#reading = true;
    await Promise.all(unread.map(readLine));
    this.#reading = false;
    this.#sift();
  }

  #translate() {
    if (!this.#session) return;
    this.#scroller.redraw();
    this.#settle(this.#scroller.isAtEnd);
  }

  /** What follows a change of the rows: the end in sight, one stop for Tab, and the words around the list. */
  #settle(toEnd) {
    if (toEnd) this.#scroller.toEnd();
    else this.#scroller.draw();
    this.#offerStop();
    const {rows, dropped} = this.#session.ledger;
    const shown = this.#scroller.items.length;
    const bound = {rows: formatNumber(ROWS), size: formatSize(BYTES), dropped: formatNumber(dropped)};
    const words = dropped ? [say("boundDropped", bound)] : [];
    if (shown < rows.length) words.unshift(say("shown", {shown: formatNumber(shown), kept: formatNumber(rows.length)}));
    else if (rows.length) words.unshift(say("rows", {count: formatNumber(rows.length)}));
    element("log-bound").textContent = words.join(" ");
    element("log-bound").title = say("bound", bound);
    element("empty").hidden = shown > 0;
    element("empty").textContent = say(rows.length ? "emptyFilter" : "empty");
    this.#offerNewest();
  }

  #offerNewest() {
    element("newest").hidden = this.#scroller.isAtEnd;
  }

  /** Makes a row the one that Tab reaches. */
  #stop(button) {
    this.#current = Number(button.parentElement.dataset.id);
    this.#offerStop();
  }

  #offerStop() {
    const {views} = this.#scroller;
    const stop = views.find(({row}) => row.id === this.#current) ?? views.at(-1);
    for (const view of views) view.button.tabIndex = view === stop ? 0 : -1;
  }

  #walk(event) {
    const button = event.target.closest(".row");
    if (!button && event.target !== this.#list) return;
    const {items} = this.#scroller;
    const last = items.length - 1;
    const here = Math.min(last, this.#scroller.indexOf(this.#current ?? items[last]?.id));
    const there = {ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: last}[event.key];
    if (there === undefined || last < 0) return;
    event.preventDefault();
    const item = items[Math.min(last, Math.max(0, there))];
    this.#scroller.show(item);
    this.#scroller.view(item).button.focus({preventScroll: true});
  }
}
