// The chat.

import {create} from "/_wsd/element.js";
import {language, say} from "/_wsd/language.js";
import {nameFor} from "./words.js";

const SHOWN = 100;
const KEPT = 20; // messages of each author that late comers get: so many keys, used in turn
const element = (id) => document.getElementById(id);

/** Everyone's messages, oldest first. */
export class Chat {
  #messages = new Map(); // by author and position, since a lost connection brings some again
  #room;
  #own;
  #sent = 0; // messages of ours
  #begun = Date.now();

  /** `send(text, key)` publishes a message of ours. */
  constructor(room, own, send) {
    this.#room = room;
    this.#own = own;
    element("write").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = element("message").value.trim();
      if (text) send(text, String(this.#sent++ % KEPT));
      element("message").value = "";
    });
    document.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  take(user, {text, name, at}, position) {
    if (user === this.#own && at < this.#begun) this.#sent += 1; // before a reload
    this.#messages.set(`${user} ${position}`, {user, text, name, at: Math.min(at, Date.now())});
    this.#draw();
  }

  #draw() {
    const messages = [...this.#messages.values()].sort((one, other) => one.at - other.at).slice(-SHOWN);
    const list = element("messages");
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.replaceChildren(...messages.map((each) => this.#item(each)));
    if (isAtEnd) list.scrollTop = list.scrollHeight;
    element("silent").hidden = messages.length > 0;
  }

  #item({user, text, name, at}) {
    const time = new Date(at).toLocaleTimeString(language(), {hour: "2-digit", minute: "2-digit"});
    const badge = user === this.#room && name ? [create("span", {className: "badge", textContent: say("badge")})] : [];
    return create("li", {className: user === this.#own ? "own" : ""},
      create("span", {className: "name", textContent: nameFor(user, this.#room, name)}), ...badge,
      create("small", {textContent: time}), create("p", {className: "typed", textContent: String(text)}));
  }
}
