// What the page says, in the reader's language: the words lie in words.js, keyed alike in each tongue.

import {words} from "./words.js";
import {recall, remember} from "./memory.js";

let tongue = "en";

/** A fault of the person's input: a key of the words, so that its sentence follows the language; `field` is its field's id. */
export class Wrong extends Error {
  constructor(key, values = {}, field = null) {
    super(key);
    this.key = key;
    this.values = values;
    this.field = field;
  }
}

/** The words of a key, with each {name} replaced by its value. They are text, never markup. */
export function say(key, values = {}) {
  return words[tongue][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Whether there are words of that key. */
export function has(key) {
  return key in words[tongue];
}

/** A number as the tongue groups its digits. */
export function formatNumber(value) {
  return value.toLocaleString(document.documentElement.lang);
}

/** The tongue kept from last time, or the first of the browser's that we have. */
export function preferred() {
  const kept = recall("tongue");
  if (kept in words) return kept;
  const asked = (navigator.languages ?? [navigator.language]).map((name) => name.toLowerCase().split("-")[0]);
  return asked.find((name) => name in words) ?? "en";
}

/** Puts the whole page into a tongue, and tells whoever draws words of their own ("tongue" on document). */
export function speak(name) {
  tongue = name;
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of document.querySelectorAll("[data-say-label]")) {
    element.setAttribute("aria-label", say(element.dataset.sayLabel));
  }
  for (const element of document.querySelectorAll("[data-say-placeholder]")) {
    element.placeholder = say(element.dataset.sayPlaceholder);
  }
  for (const button of document.querySelectorAll("[data-tongue]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tongue === name));
  }
  document.title = say("pageTitle");
  document.dispatchEvent(new Event("tongue"));
}

/** Lets the switch choose, and keeps the choice. */
export function listen() {
  for (const button of document.querySelectorAll("[data-tongue]")) {
    button.addEventListener("click", () => {
      remember("tongue", button.dataset.tongue);
      speak(button.dataset.tongue);
    });
  }
}
