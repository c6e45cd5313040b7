// Who is in the class, and whose hand is raised.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {buttonOf, drawList} from "/uses/shared/list.js";
import {nameFor} from "./words.js";

const PEN = 120_000; // ms for which a pupil has the pen
const element = (id) => document.getElementById(id);

/** Who somebody is: the name, and a badge for a teacher who has given one. */
export function headOf({user, name}, room) {
  const head = [create("span", {className: "name", textContent: nameFor(user, room, name)})];
  if (user === room && name) head.push(create("span", {className: "badge", textContent: say("badge")}));
  return head;
}

/** The list of people. The server says which user a member is, so nobody can pretend to be the teacher. */
export class People {
  present = new Map(); // {user, state} by member; the state has the name that a member has given itself
  #hands = new Map(); // when it was raised, by user
  #given = new Map(); // until when a pupil has the pen, by user
  #options;

  /** Options: `room`, our `user`, `raise(isUp, user)` and `givePen(user, member)`. */
  constructor(options) {
    this.#options = options;
    element("hand").addEventListener("click", () => options.raise(!this.#hands.has(options.user), options.user));
    document.addEventListener("language", () => this.draw());
    this.draw();
  }

  raise(user, {isUp, at}) {
    if (isUp) this.#hands.set(user, at);
    else this.#hands.delete(user);
    this.draw();
  }

  /** Draws whoever is present. */
  draw() {
    const {room, user: own} = this.#options;
    const isUp = this.#hands.has(own);
    element("hand").setAttribute("aria-pressed", String(isUp));
    element("hand").textContent = say(isUp ? "lower" : "raise");
    const people = new Map([...this.present].map(([member, {user, state}]) =>
      [user, {member, user, given: state?.name, name: nameFor(user, room, state?.name)}]));
    const order = ({user}) => (user === room ? -1 : this.#hands.get(user) ?? Infinity);
    const sorted = [...people.values()].sort((one, other) =>
      Math.sign(order(one) - order(other)) || one.name.localeCompare(other.name));
    drawList(element("people"), sorted.map((each) => this.#row(each)));
    const isHere = people.has(room);
    element("number").textContent = say(isHere ? "here" : "without", {number: formatNumber(people.size - isHere)});
  }

  #row({user, given, name, member}) {
    const {room, user: own} = this.#options;
    const row = create("li", {className: user === own ? "own" : ""}, ...headOf({user, name: given}, room));
    if (this.#hands.has(user)) row.append(create("span", {className: "hand"}, say("handUp")));
    if (own === room && user !== room) row.append(this.#buttonsOf(user, name, member));
    return row;
  }

  #buttonsOf(user, name, member) {
    const give = say(this.#given.get(user) > Date.now() ? "hasPen" : "givePen");
    const lower = say("lowerFor");
    const pen = buttonOf(`pen ${user}`, give, () => this.#give(user, member), `${give}: ${name}`);
    const hand = buttonOf(`lower ${user}`, lower, () => this.#options.raise(false, user), `${lower}: ${name}`);
    return create("span", {className: "tools"}, pen, this.#hands.has(user) ? hand : "");
  }

  async #give(user, member) {
    await this.#options.givePen(user, member);
    this.#given.set(user, Date.now() + PEN);
    setTimeout(() => this.draw(), PEN);
    this.draw();
  }
}
