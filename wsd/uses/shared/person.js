// Who this window is: a person with an id and a name. Each window is another person, so that two of them can meet.

import {addWords, say} from "/_wsd/language.js";
import {kept} from "./kept.js";

addWords({
  en: {"person.name": "Your name", "person.guest": "Guest {number}", "person.you": "{name} (you)"},
  zh: {"person.name": "你的名字", "person.guest": "访客 {number}", "person.you": "{name}（你）"},
});

/** 32 letters and digits that nobody can guess. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The person of this window, which the tab keeps, with `more` of the page. */
export function person(more = {}) {
  return kept({id: randomId().slice(0, 12), number: 100 + Math.floor(Math.random() * 900), name: "", ...more});
}

/** What others call a person: by the name, or by a number as long as there is none. */
export function nameOf({name, number}) {
  return name.trim() || say("person.guest", {number});
}

/** What the page calls a person. */
export function titleOf(name, isMe) {
  return isMe ? say("person.you", {name}) : name;
}

/** The field #name has the person's name, and changes it. */
export function followName(me, onchange) {
  const field = document.getElementById("name");
  field.value = me.name;
  field.addEventListener("input", () => {
    me.name = field.value;
    onchange();
  });
}
