// A chat of which latecomers get the newest messages of each author, as last values of a topic.
//
// The page has #messages, #silent for as long as there are none, and the form #write with the field #message.

import {create} from "/_wsd/element.js";
import {language} from "/_wsd/language.js";
import {sendText} from "./compose.js";
import {drawList} from "./list.js";

const SHOWN = 100;
const KEPT = 20; // messages of each author that latecomers get: so many keys, used in turn
const element = (id) => document.getElementById(id);

export class Chat {
  #messages = new Map(); // by author and position, since a lost connection brings some again
  #options;
  #sent = 0; // messages of ours
  #begun = Date.now();

  /** Options: our `user`, `send(text, key)`, and `headOf(message)`, which says in elements whose message it is. */
  constructor(options) {
    this.#options = options;
    sendText(element("write"), element("message"), (text) => options.send(text, String(this.#sent++ % KEPT)));
    document.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  /** A message has come, or come again: {text, at, name}. */
  take(user, message, position) {
    if (user === this.#options.user && message.at < this.#begun) this.#sent += 1; // before a reload
    this.#messages.set(`${user} ${position}`, {...message, user, at: Math.min(message.at, Date.now())});
    this.#draw();
  }

  #draw() {
    const messages = [...this.#messages.values()].sort((one, other) => one.at - other.at).slice(-SHOWN);
    drawList(element("messages"), messages.map((each) => this.#row(each)));
    element("silent").hidden = messages.length > 0;
  }

  #row(message) {
    const time = new Date(message.at).toLocaleTimeString(language(), {hour: "2-digit", minute: "2-digit"});
    return create("li", {className: message.user === this.#options.user ? "own" : ""}, ...this.#options.headOf(message),
      create("small", {textContent: time}), create("p", {className: "typed", textContent: String(message.text)}));
  }
}
