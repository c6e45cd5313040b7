// One row of the log: a button with a line, and what it opens.

import {formatSize} from "./bytes.js";
import {Detail} from "./detail.js";
import {say} from "./language.js";
import {make} from "./make.js";
import {isFailure, showPreview} from "./preview.js";

const ARROWS = {sent: "↑", received: "↓", event: "•"};
const FAILURE = "!"; // also told by its colour, which forced colours take away

function clock(time) {
  const date = new Date(time);
  const digits = (value, width = 2) => String(value).padStart(width, "0");
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((value) => digits(value)).join(":")
    + `.${digits(date.getMilliseconds(), 3)}`;
}

export class Row {
  /** `actions` are {copy, resend, edit}, each of which takes a row of the ledger. */
  constructor(row, actions) {
    this.row = row;
    this.actions = actions;
    this.element = make("li", `entry ${row.direction}`);
    if (this.#isFailure) this.element.classList.add("failed");
    this.button = make("button", "row");
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.addEventListener("click", () => this.#toggle());
    this.element.append(this.button);
    this.draw();
  }

  get #isFailure() {
    return this.row.direction === "event" && isFailure(this.row);
  }

  /** Draws the line, and what is open, in the current language. */
  draw() {
    const {row, button} = this;
    const time = make("time", "", clock(row.time));
    time.dateTime = new Date(row.time).toISOString();
    const way = make("span", "way");
    const arrow = make("span", "", this.#isFailure ? FAILURE : ARROWS[row.direction]);
    arrow.setAttribute("aria-hidden", "true");
    way.append(arrow, make("span", "unseen", say(row.direction)));
    const preview = make("bdi", "preview");
    button.replaceChildren(time, way);
    if (row.direction !== "event") {
      const size = make("span", "size", formatSize(row.size));
      const trip = make("span", "trip", row.trip === null ? "" : `${row.trip.toFixed(1)} ms`);
      button.append(make("span", "opcode", row.opcode), size, preview, trip);
    } else {
      button.append(preview);
    }
    showPreview(row, preview);
    this.#open();
  }

  #toggle() {
    this.row.opened = !this.row.opened;
    this.#open();
  }

  /** Shows or removes what the row opens. */
  #open() {
    const opened = Boolean(this.row.opened);
    this.button.setAttribute("aria-expanded", String(opened));
    this.element.classList.toggle("opened", opened);
    this.detail?.element.remove();
    this.detail = opened ? new Detail(this.row, this.actions) : null;
    if (this.detail) this.element.append(this.detail.element);
  }
}
