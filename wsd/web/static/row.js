// One row of the log: a button that tells, and what it opens: the text, the hexdump or the picture.

import {formatSize, hexdump, hexLine} from "./bytes.js";
import {laidOut, readEnvelope, summary} from "./envelopes.js";
import {bytesOf} from "./ledger.js";
import {formatNumber, has, say} from "./language.js";
import {PICTURE_BYTES, picture} from "./picture.js";

const DUMP = 4_096; // bytes that a hexdump shows
const TEXT = 65_536; // characters that an opened text shows
const LINE = 240; // characters of a text in its row
const LINE_BYTES = 24; // bytes of a binary message in its row
const ARROWS = {sent: "↑", received: "↓", event: "•"};

/** An element with a class and a text: text only, whatever it holds. */
function make(name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

function clock(time) {
  const date = new Date(time);
  const digits = (value, width = 2) => String(value).padStart(width, "0");
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((value) => digits(value)).join(":")
    + `.${digits(date.getMilliseconds(), 3)}`;
}

/** What a close code is called. */
export function codeName(code) {
  return say(has(`code${code}`) ? `code${code}` : "codeOther");
}

/** The sentence of an event. */
export function sentence({key, values}) {
  const filled = {...values};
  if ("code" in values) filled.name = codeName(values.code);
  if (key === "eventOpen") {
    filled.protocol ||= say("none");
    filled.extensions ||= say("none");
  }
  return say(key, filled);
}

export class Row {
  /** `line` is what the row shows of its payload, and what the filter looks into beside a whole text. */
  line = "";
  /** How the opened row shows it. */
  kind = "asText";

  constructor(row) {
    this.row = row;
    this.element = make("li", `entry ${row.direction}`);
    this.button = make("button", "row");
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.setAttribute("aria-expanded", "false");
    this.button.addEventListener("click", () => this.toggle());
    this.element.append(this.button);
    this.draw();
  }

  /** The text that the filter searches. */
  get searched() {
    return this.row.opcode === "text" ? this.row.payload : this.line;
  }

  /** Draws the button anew, in the language of now. */
  draw() {
    const {row, button} = this;
    const time = make("time", "", clock(row.time));
    time.dateTime = new Date(row.time).toISOString();
    const way = make("span", "way");
    const arrow = make("span", "", ARROWS[row.direction]);
    arrow.setAttribute("aria-hidden", "true");
    way.append(arrow, make("span", "unseen", say(row.direction)));
    this.preview = make("bdi", "preview");
    button.replaceChildren(time, way);
    if (row.direction === "event") {
      this.show(sentence(row));
      button.append(this.preview);
      return;
    }
    const size = make("span", "size", formatSize(row.size));
    const trip = make("span", "trip", row.trip === null ? "" : `${row.trip.toFixed(1)} ms`);
    button.append(make("span", "opcode", row.opcode), size, this.preview, trip);
    this.look().catch((error) => this.show(say("unreadable", {why: error.message})));
  }

  show(line) {
    this.line = line;
    this.preview.textContent = line;
  }

  /** Reads as much of the payload as the row has room for. */
  async look() {
    const {payload, opcode, size} = this.row;
    if (opcode === "text") {
      const envelope = readEnvelope(this.row);
      this.show((envelope ? summary(envelope) : payload).slice(0, LINE));
      return;
    }
    const name = payload instanceof File ? `${payload.name}  ` : "";
    this.show(name);
    if (size === PICTURE_BYTES) {
      const thumbnail = picture(await bytesOf(payload));
      thumbnail.className = "thumbnail";
      thumbnail.setAttribute("role", "img");
      thumbnail.setAttribute("aria-label", say("picture"));
      this.preview.append(thumbnail);
      return;
    }
    const start = hexLine(await bytesOf(payload, LINE_BYTES));
    this.show(name + start + (size > LINE_BYTES ? " …" : ""));
  }

  toggle() {
    const open = this.button.getAttribute("aria-expanded") !== "true";
    this.button.setAttribute("aria-expanded", String(open));
    this.detail?.remove();
    this.detail = null;
    if (!open) return;
    this.detail = make("div", "detail");
    this.element.append(this.detail);
    this.fill(this.detail, this.#kinds()[0]);
  }

  /** How it can be shown, the best first. */
  #kinds() {
    if (readEnvelope(this.row)) return ["asJson", "asText", "asHex"];
    return this.row.opcode === "text" ? ["asText", "asHex"] : ["asHex"];
  }

  fill(detail, kind) {
    const {row} = this;
    detail.replaceChildren();
    if (row.direction === "event") {
      detail.append(make("p", "words", sentence(row)));
    } else if (!row.size) {
      detail.append(make("p", "quiet", say("emptyMessage")));
    } else {
      if (row.opcode === "text") detail.append(this.kinds(detail, kind));
      this.kind = kind;
      if (kind === "asJson") this.fillText(detail, laidOut(readEnvelope(row)));
      else if (kind === "asText") this.fillText(detail, row.payload);
      else this.fillBytes(detail).catch((error) => detail.append(make("p", "wrong", say("unreadable", {why: error.message}))));
    }
  }

  /** The choice between envelope, text and hexdump. */
  kinds(detail, kind) {
    const choice = make("div", "kinds");
    for (const key of this.#kinds()) {
      const button = make("button", "small", say(key));
      button.type = "button";
      button.setAttribute("aria-pressed", String(key === kind));
      button.addEventListener("click", () => {
        this.fill(detail, key);
        detail.querySelector("[aria-pressed=true]").focus();
      });
      choice.append(button);
    }
    return choice;
  }

  fillText(detail, text) {
    const whole = make("pre", "data words", text.slice(0, TEXT));
    whole.dir = "auto";
    detail.append(whole);
    if (text.length > TEXT) detail.append(this.capped(formatNumber(TEXT), formatNumber(text.length)));
  }

  async fillBytes(detail) {
    const {payload, size, opcode} = this.row;
    const bytes = await bytesOf(payload, size === PICTURE_BYTES ? size : DUMP);
    if (opcode === "binary" && size === PICTURE_BYTES) {
      const whole = picture(bytes);
      whole.className = "picture";
      whole.setAttribute("role", "img");
      whole.setAttribute("aria-label", say("picture"));
      detail.append(whole);
    }
    const dump = make("pre", "data dump", hexdump(bytes.subarray(0, DUMP)));
    dump.tabIndex = 0;
    dump.setAttribute("aria-label", say("asHex"));
    dump.setAttribute("role", "region");
    detail.append(dump);
    if (size > DUMP) detail.append(this.capped(formatSize(DUMP), formatSize(size)));
  }

  capped(shown, size) {
    return make("p", "quiet", say("capped", {shown, size}));
  }

  /** Puts an opened row into the language of now. */
  translate() {
    this.draw();
    if (!this.detail) return;
    this.fill(this.detail, this.kind);
  }
}
