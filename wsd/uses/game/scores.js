// The scores beside the field, the time that is left, and what the server has corrected.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {clockOf} from "/uses/shared/time.js";
import {colourOf} from "./field.js";

const element = (id) => document.getElementById(id);

/** The names of all players, by id. */
export const names = new Map();
let first = ""; // the name of the one who wins, as it is now
let corrections = 0;

/** Shows people, [id, name, score, ping], which come every second. A robot has no name. */
export function showPeople(people, own) {
  const sorted = people.toSorted(([, , one], [, , other]) => other - one);
  names.clear();
  for (const [id, name] of sorted) names.set(id, name || say("robot"));
  element("people").replaceChildren(...sorted.map((person) => rowOf(person, own)));
  element("watching").textContent = names.has(own) ? "" : say("watching", {number: people.length});
  const [id, , score] = sorted[0] ?? [];
  first = score ? names.get(id) : "";
}

function rowOf([id, , score, ping], own) {
  const isOwn = id === own;
  const dot = create("span", {className: "dot"});
  dot.style.background = colourOf(id);
  const name = create("span", {className: "name", textContent: names.get(id)});
  return create("tr", {className: isOwn ? "own" : ""},
    create("th", {scope: "row"}, dot, name, isOwn ? create("small", {textContent: ` ${say("own")}`}) : ""),
    create("td", {textContent: formatNumber(score)}),
    create("td", {textContent: ping === null ? "–" : `${formatNumber(ping)} ms`}));
}

/** Shows the seconds until the end of the round; below 0 in the pause after it. */
export function showTime(seconds) {
  element("left").textContent = clockOf(Math.max(0, Math.ceil(seconds)));
  const over = element("over");
  over.hidden = seconds > 0;
  const result = first ? say("wins", {name: first}) : say("draw");
  if (over.textContent !== result) over.textContent = result;
}

/** The server has not accepted a move. */
export function addCorrection() {
  corrections += 1;
  element("corrections").textContent = say("corrected", {number: formatNumber(corrections)});
}
