// A poll: somebody asks, everyone chooses once, and all see the counts.
//
// The page has #poll with #poll-question, #options, #total and #end, #no-poll for as long as there is none, and the
// form #ask with #question, #choices and #too-few.

import {create} from "/_wsd/element.js";
import {addWords, formatNumber, say} from "/_wsd/language.js";
import {buttonOf, drawList} from "./list.js";

const MOST = 6; // choices
const element = (id) => document.getElementById(id);

addWords({
  en: {
    "poll.none": "No poll yet.", "poll.votes": "Votes: {number}", "poll.ended": "Ended. Votes: {number}",
    "poll.end": "End the poll", "poll.question": "Question", "poll.choices": "Choices, one per line",
    "poll.ask": "Start a poll", "poll.tooFew": "Write at least two choices, each on a line of its own.",
  },
  zh: {
    "poll.none": "还没有投票。", "poll.votes": "{number} 票", "poll.ended": "已结束，共 {number} 票",
    "poll.end": "结束投票", "poll.question": "问题", "poll.choices": "选项，每行一个",
    "poll.ask": "发起投票", "poll.tooFew": "请至少写两个选项，每行一个。",
  },
});

/** The newest poll, {id, question, options, isOpen}, and its votes, {poll, choice} by user. */
export class Poll {
  #poll = null;
  #votes = new Map();
  #options;

  /** Options: `isAsker`, our `user`, `ask(poll)` when we begin or end one, and `vote(vote)`. */
  constructor(options) {
    this.#options = options;
    element("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask(event.target);
    });
    element("end").addEventListener("click", () => options.ask({...this.#poll, isOpen: false}));
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

  #ask(form) {
    const options = element("choices").value.split("\n").map((each) => each.trim()).filter(Boolean).slice(0, MOST);
    const isEnough = options.length >= 2;
    element("choices").setAttribute("aria-invalid", String(!isEnough));
    element("too-few").hidden = isEnough;
    if (!isEnough) return;
    this.#options.ask({id: Date.now(), question: element("question").value.trim(), options, isOpen: true});
    form.reset();
  }

  #draw() {
    const poll = this.#poll;
    element("no-poll").hidden = poll !== null;
    element("poll").hidden = poll === null;
    element("end").hidden = !(this.#options.isAsker && poll?.isOpen);
    if (poll === null) return;
    const votes = [...this.#votes.values()].filter(({poll: id, choice}) => id === poll.id && choice in poll.options);
    element("poll-question").textContent = poll.question;
    drawList(element("options"), poll.options.map((text, choice) => this.#row(text, choice, votes)));
    element("total").textContent = say(poll.isOpen ? "poll.votes" : "poll.ended", {number: formatNumber(votes.length)});
  }

  #row(text, choice, votes) {
    const number = votes.filter((vote) => vote.choice === choice).length;
    const label = create("span", {className: "typed", textContent: text});
    const bar = create("progress", {max: Math.max(1, votes.length), value: number});
    bar.setAttribute("aria-label", text);
    const count = create("output", {textContent: formatNumber(number)});
    if (this.#options.isAsker || !this.#poll.isOpen) return create("li", {}, label, bar, count);
    const own = this.#votes.get(this.#options.user);
    const button = buttonOf(choice, label, () => this.#options.vote({poll: this.#poll.id, choice}), text);
    button.setAttribute("aria-pressed", String(own?.poll === this.#poll.id && own.choice === choice));
    return create("li", {}, button, bar, count);
  }
}
