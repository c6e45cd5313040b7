// The language of the page: its words, and the choice that all pages share.

import {remember} from "./memory.js";

const words = {en: {}, zh: {}};

/** A mistake in the visitor's input: the key of its sentence, which follows the language, and the id of its field. */
export class Wrong extends Error {
  constructor(key, values = {}, field = null) {
    super(key);
    this.key = key;
    this.values = values;
    this.field = field;
  }
}

/** The current language: "en" or "zh". theme.js has set it on <html> from the kept choice, or else the browser's. */
export function language() {
  return document.documentElement.lang.startsWith("zh") ? "zh" : "en";
}

/** Adds words: {en: {key: "text with {name}"}, zh: {...}}. Elements with these keys get their text at once. */
export function addWords(more) {
  for (const name of Object.keys(words)) Object.assign(words[name], more[name]);
  fillElements();
}

/** The words of a key, with each {name} replaced by its value. They are text, never markup. */
export function say(key, values = {}) {
  return words[language()][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Two sentences, one behind the other. Chinese punctuation needs no space behind it. */
export function joined(first, second) {
  return /[。，：；]$/.test(first) ? first + second : `${first} ${second}`.trimEnd();
}

/** Whether there are words of that key. */
export function has(key) {
  return key in words[language()];
}

/** A number with its digits grouped as the language does it. */
export function formatNumber(value) {
  return value.toLocaleString(document.documentElement.lang);
}

/** Shows the page in a language and keeps the choice for all pages. */
export function choose(name) {
  remember("language", name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  translate();
}

/** Fills in the words of all elements, then fires "language" on document for whoever draws words by script. */
export function translate() {
  fillElements();
  document.dispatchEvent(new Event("language"));
}

const FILLED = [
  ["say", "[data-say]", (element, text) => { element.textContent = text; }],
  ["sayLabel", "[data-say-label]", (element, text) => element.setAttribute("aria-label", text)],
  ["sayPlaceholder", "[data-say-placeholder]", (element, text) => { element.placeholder = text; }],
];

function fillElements() {
  for (const [name, selector, fill] of FILLED) {
    for (const element of document.querySelectorAll(selector)) {
      if (has(element.dataset[name])) fill(element, say(element.dataset[name]));
    }
  }
  if (has("pageTitle")) document.title = say("pageTitle");
}
