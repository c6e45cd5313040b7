// Who is in the class, and whose hand is raised.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {nameFor} from "./words.js";

const element = (id) => document.getElementById(id);

/** The list of people. The server says which user a member is, so nobody can pretend to be the teacher. */
export class People {
  #members = new Map(); // {user, given} by member, with the name that it has given itself
  #hands = new Map(); // when it was raised, by user
  #given = new Map(); // until when a pupil has the pen, by user
  #options;

  /** Options: `room`, `user`, `raise(isUp, user)` and `givePen(user, member)`. */
  constructor(options) {
    this.#options = options;
    element("hand").addEventListener("click", () => options.raise(!this.#hands.has(options.user), options.user));
    document.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  are(members) {
    this.#members = new Map(members.map(({member, user, state}) => [member, {user, given: state?.name}]));
    this.#draw();
  }

  change({change, member, user, state}) {
    if (change === "leave") this.#members.delete(member);
    else this.#members.set(member, {user, given: state?.name});
    this.#draw();
  }

  raise(user, {isUp, at}) {
    if (isUp) this.#hands.set(user, at);
    else this.#hands.delete(user);
    this.#draw();
  }

  #draw() {
    const {room, user} = this.#options;
    const isUp = this.#hands.has(user);
    element("hand").setAttribute("aria-pressed", String(isUp));
    element("hand").textContent = say(isUp ? "lower" : "raise");
    const order = ({user: each}) => (each === room ? -1 : this.#hands.get(each) ?? Infinity);
    const people = [...new Map([...this.#members].map(([member, {user: each, given}]) =>
      [each, {member, user: each, given, name: nameFor(each, room, given)}])).values()];
    people.sort((one, other) => Math.sign(order(one) - order(other)) || one.name.localeCompare(other.name));
    const focused = document.activeElement?.dataset?.button;
    element("people").replaceChildren(...people.map((each) => this.#item(each)));
    element("people").querySelector(`[data-button="${focused}"]`)?.focus();
    const pupils = people.filter(({user: each}) => each !== room).length;
    const isHere = pupils < people.length;
    element("number").textContent = say(isHere ? "here" : "without", {number: formatNumber(pupils)});
  }

  #item({user, given, name, member}) {
    const {room, user: own} = this.#options;
    const hand = this.#hands.has(user) ? [create("span", {className: "hand", textContent: say("handUp")})] : [];
    const badge = user === room && given ? [create("span", {className: "badge", textContent: say("badge")})] : [];
    const buttons = own === room && user !== room ? this.#buttonsOf(user, name, member) : [];
    return create("li", {className: user === own ? "own" : ""},
      create("span", {className: "name", textContent: name}), ...badge, ...hand,
      ...(buttons.length ? [create("span", {className: "tools"}, ...buttons)] : []));
  }

  #buttonsOf(user, name, member) {
    const hasPen = this.#given.get(user) > Date.now();
    const pen = buttonOf(say(hasPen ? "hasPen" : "givePen"), `pen ${user}`, async () => {
      await this.#options.givePen(user, member);
      this.#given.set(user, Date.now() + 120_000);
      setTimeout(() => this.#draw(), 120_000);
      this.#draw();
    });
    const lower = buttonOf(say("lowerFor"), `lower ${user}`, () => this.#options.raise(false, user));
    for (const button of [pen, lower]) button.setAttribute("aria-label", `${button.textContent}: ${name}`);
    return this.#hands.has(user) ? [pen, lower] : [pen];
  }
}

function buttonOf(text, name, action) {
  const button = create("button", {type: "button", textContent: text});
  button.dataset.button = name;
  button.addEventListener("click", action);
  return button;
}
