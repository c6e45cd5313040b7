// The scores beside the field, the time that is left, and what the server has corrected.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {colourOf} from "./field.js";

const element = (id) => document.getElementById(id);

/** Everything around the field. */
export class Scores {
  own = null; // our id
  names = new Map(); // by id
  #people = [];
  #left = "";
  #corrections = 0;

  constructor() {
    document.addEventListener("language", () => {
      this.#left = "";
      this.show(this.#people);
      if (this.#corrections) this.#tellCorrections();
    });
  }

  /** People are [id, name, score, ping]; a robot has no name. */
  show(people) {
    this.#people = people.toSorted((one, other) => other[2] - one[2]);
    this.names = new Map(people.map(([id, name]) => [id, name || say("robot")]));
    element("people").replaceChildren(...this.#people.map((each) => this.#row(each)));
    const isWatching = !people.some(([id]) => id === this.own);
    element("watching").textContent = isWatching ? say("watching", {number: people.length}) : "";
  }

  #row([id, , score, ping]) {
    const dot = create("span", {className: "dot"});
    dot.style.background = colourOf(id);
    const name = this.names.get(id);
    return create("tr", {className: id === this.own ? "own" : ""},
      create("th", {scope: "row"}, dot, create("span", {className: "name", textContent: name}),
        ...(id === this.own ? [create("small", {textContent: ` ${say("own")}`})] : [])),
      create("td", {textContent: formatNumber(score)}),
      create("td", {textContent: ping === null ? "–" : `${formatNumber(ping)} ms`}));
  }

  /** Seconds until the end of the round; below 0 in the pause after it. */
  showTime(seconds) {
    const whole = Math.max(0, Math.ceil(seconds));
    const text = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
    const isOver = seconds <= 0;
    if (this.#left === text && isOver === !element("over").hidden) return;
    this.#left = text;
    element("left").textContent = text;
    element("over").hidden = !isOver;
    const [first] = this.#people;
    if (isOver && first) element("over").textContent = say(first[2] ? "wins" : "draw", {name: this.names.get(first[0])});
  }

  /** The server did not accept a move. */
  corrected() {
    this.#corrections += 1;
    this.#tellCorrections();
  }

  #tellCorrections() {
    element("corrections").textContent = say("corrected", {number: formatNumber(this.#corrections)});
  }
}
