// Draws people: a pin and a trail on the map, and a line in the list.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {titleOf} from "/uses/shared/person.js";

const SVG = "http://www.w3.org/2000/svg";
const SILENT = 12_000; // ms from which the list says when somebody was heard

const pinOf = ({id}) => document.querySelector(`#people [data-id="${CSS.escape(id)}"]`);
const trailOf = ({id}) => document.querySelector(`#trails [data-id="${CSS.escape(id)}"]`);

/** A colour for each person, which is the same on all screens. */
function hueOf(id) {
  return [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);
}

/** A new element of an SVG. */
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function addPerson(id, isMe) {
  const pin = svg("g", isMe ? {class: "person mine", tabindex: 0, role: "button"} : {class: "person"},
    svg("circle", {class: "halo", r: 22}), svg("path", {d: "M0 0-7-12a8.3 8.3 0 1 1 14 0z"}),
    svg("circle", {class: "eye", r: 3, cy: -16}), svg("text", {y: 15}));
  const trail = svg("path", {class: "trail"});
  for (const each of [pin, trail]) {
    each.dataset.id = id;
    each.style.setProperty("--hue", hueOf(id));
  }
  document.getElementById("trails").append(trail);
  document.getElementById("people").append(pin);
}

/** Draws a person where they are now. */
export function drawPerson(world, person, isMe) {
  if (!pinOf(person)) addPerson(person.id, isMe);
  const pin = pinOf(person);
  const {x, y} = world.pointOf(person);
  pin.style.setProperty("--x", `${x}px`);
  pin.style.setProperty("--y", `${y}px`);
  pin.querySelector("text").textContent = person.name;
  if (isMe) pin.setAttribute("aria-label", say("pin", {name: person.name}));
  const points = person.trail.map((each) => world.pointOf(each));
  trailOf(person).setAttribute("d", points.map((each, index) => `${index ? "L" : "M"}${each.x} ${each.y}`).join(""));
  fade(person, 0);
}

/** Fades a person: 0 is there, 1 is gone. */
export function fade(person, share) {
  pinOf(person).style.opacity = 1 - 0.9 * share;
  trailOf(person).style.opacity = 0.6 * (1 - share);
}

/** Takes a person off the map. */
export function removePerson(person) {
  pinOf(person).remove();
  trailOf(person).remove();
}

/** Lists the people with their positions. */
export function drawList(people, mine) {
  const sorted = [...people].sort((one, other) => one.name.localeCompare(other.name));
  document.getElementById("list").replaceChildren(...sorted.map((person) => rowOf(person, person.id === mine)));
}

function rowOf({id, name, lon, lat, heard}, isMe) {
  const silent = isMe ? 0 : Date.now() - heard;
  const dot = create("span", {className: "dot"});
  dot.style.setProperty("--hue", hueOf(id));
  return create("li", {}, dot,
    create("span", {className: "who", textContent: titleOf(name, isMe)}),
    create("span", {className: "data", textContent: `${degrees(lat, "N", "S")} ${degrees(lon, "E", "W")}`}),
    create("span", {className: "quiet when",
      textContent: silent < SILENT ? say("now") : say("ago", {seconds: formatNumber(Math.round(silent / 1000))})}));
}

function degrees(value, positive, negative) {
  return `${Math.abs(value).toFixed(2)}° ${value < 0 ? negative : positive}`;
}
