// A poll: the teacher asks, everyone chooses once, and all see the counts.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";

const MOST = 6; // choices
const element = (id) => document.getElementById(id);

/** The newest poll and its votes. */
export class Poll {
  #poll = null; // {id, question, options, isOpen}
  #votes = new Map(); // {poll, choice} by user
  #isTeacher;
  #own;
  #vote;

  /** `teach(key, payload)` publishes what the teacher does, and `publish(kind, payload)` what we do. */
  constructor(isTeacher, own, teach, publish) {
    this.#isTeacher = isTeacher;
    this.#own = own;
    this.#vote = (choice) => publish("vote", {poll: this.#poll.id, choice});
    element("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      const options = element("choices").value.split("\n").map((each) => each.trim()).filter(Boolean).slice(0, MOST);
      const isEnough = options.length >= 2;
      element("choices").setAttribute("aria-invalid", String(!isEnough));
      element("asked").hidden = isEnough;
      if (!isEnough) return;
      const question = element("question").value.trim();
      teach("poll", {id: Date.now(), question, options, isOpen: true});
      event.target.reset();
    });
    element("end").addEventListener("click", () => teach("poll", {...this.#poll, isOpen: false}));
    document.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  show(poll) {
    this.#poll = poll;
    this.#draw();
  }

  count(user, vote) {
    this.#votes.set(user, vote);
    this.#draw();
  }

  #draw() {
    const poll = this.#poll;
    element("no-poll").hidden = poll !== null;
    element("poll").hidden = poll === null;
    element("end").hidden = !(this.#isTeacher && poll?.isOpen);
    if (poll === null) return;
    const votes = [...this.#votes.values()].filter(({poll: id, choice}) => id === poll.id && choice in poll.options);
    const own = this.#votes.get(this.#own);
    const chosen = own?.poll === poll.id ? own.choice : null;
    const focused = document.activeElement?.dataset?.choice;
    element("poll-question").textContent = poll.question;
    element("options").replaceChildren(...poll.options.map((text, choice) => {
      const number = votes.filter((vote) => vote.choice === choice).length;
      return this.#item(text, choice, number, votes.length, choice === chosen);
    }));
    element("options").querySelector(`[data-choice="${focused}"]`)?.focus();
    const words = {number: formatNumber(votes.length)};
    element("total").textContent = say(poll.isOpen ? "votes" : "ended", words);
  }

  #item(text, choice, number, all, isChosen) {
    const label = create("span", {className: "typed", textContent: text});
    const bar = create("progress", {max: Math.max(1, all), value: number});
    bar.setAttribute("aria-label", text);
    const count = create("output", {textContent: formatNumber(number)});
    if (this.#isTeacher || !this.#poll.isOpen) return create("li", {}, label, bar, count);
    const button = create("button", {type: "button"}, label);
    button.dataset.choice = choice;
    button.setAttribute("aria-pressed", String(isChosen));
    button.addEventListener("click", () => this.#vote(choice));
    return create("li", {}, button, bar, count);
  }
}
