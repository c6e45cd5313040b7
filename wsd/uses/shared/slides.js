// Slides: text, one after the other. One person turns and edits them, and everyone sees the same.
//
// The page has #slide, #place, the buttons #previous and #next, and #editing with the form #edit and its field #deck.

import {create} from "/_wsd/element.js";
import {addWords, say} from "/_wsd/language.js";
import {clamp} from "./geometry.js";

const BREAK = /^---+$/m; // between two slides
const element = (id) => document.getElementById(id);

addWords({
  en: {
    "slides.previous": "Previous", "slides.next": "Next", "slides.place": "Slide {at} of {all}",
    "slides.editing": "Edit the slides", "slides.deck": "Slides, separated by lines of ---",
    "slides.use": "Use these slides",
  },
  zh: {
    "slides.previous": "上一页", "slides.next": "下一页", "slides.place": "第 {at} 页，共 {all} 页",
    "slides.editing": "编辑幻灯片", "slides.deck": "幻灯片内容，以 --- 行分隔",
    "slides.use": "使用这些幻灯片",
  },
});

export class Slides {
  #text = null; // of the deck; null for the sample, which is in everyone's language
  #at = 0;
  #options;

  /** Options: `mayTurn`, `sample()`, and `turn(at)` and `use(text)` for what we do to the slides. */
  constructor(options) {
    this.#options = options;
    element("previous").addEventListener("click", () => this.#go(-1));
    element("next").addEventListener("click", () => this.#go(1));
    element("slide").addEventListener("keydown", ({key}) => {
      if (key === "ArrowLeft" || key === "PageUp") this.#go(-1);
      if (key === "ArrowRight" || key === "PageDown") this.#go(1);
    });
    element("edit").addEventListener("submit", (event) => {
      event.preventDefault();
      options.use(element("deck").value.trim() || null);
      element("editing").open = false;
    });
    document.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  /** The slide of that number is shown. */
  turn(at) {
    this.#at = Number(at) || 0;
    this.#draw();
  }

  /** Another deck is shown; null is the sample. */
  use(text) {
    this.#text = text;
    this.#draw();
  }

  get #deck() {
    return this.#text ?? this.#options.sample();
  }

  get #slides() {
    return this.#deck.split(BREAK).map((slide) => slide.trim());
  }

  #go(by) {
    const at = clamp(this.#at + by, 0, this.#slides.length - 1);
    if (this.#options.mayTurn && at !== this.#at) this.#options.turn(at);
  }

  #draw() {
    const slides = this.#slides;
    const at = Math.min(this.#at, slides.length - 1);
    const [title, ...lines] = slides[at].split("\n");
    element("slide").replaceChildren(
      create("p", {className: "slide-title typed", textContent: title}),
      ...lines.filter((line) => line.trim()).map((line) => create("p", {className: "typed", textContent: line})),
    );
    element("place").textContent = say("slides.place", {at: at + 1, all: slides.length});
    if (!element("editing").open) element("deck").value = this.#deck;
  }
}
