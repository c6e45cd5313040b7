// Slides: text, one after the other. The teacher turns and edits them, and everyone sees the teacher's.

import {create} from "/_wsd/element.js";
import {say} from "/_wsd/language.js";

const BREAK = /^---+$/m; // between two slides
const element = (id) => document.getElementById(id);

/** The slides, and the teacher's buttons. */
export class Slides {
  #text = null; // the teacher's own; null for the sample, which is in everyone's language
  #at = 0;
  #isTeacher;
  #teach;

  /** `teach(key, payload)` publishes what the teacher does. */
  constructor(isTeacher, teach) {
    this.#isTeacher = isTeacher;
    this.#teach = teach;
    element("previous").addEventListener("click", () => this.#go(-1));
    element("next").addEventListener("click", () => this.#go(1));
    element("slide").addEventListener("keydown", ({key}) => {
      if (key === "ArrowLeft" || key === "PageUp") this.#go(-1);
      if (key === "ArrowRight" || key === "PageDown") this.#go(1);
    });
    element("edit").addEventListener("submit", (event) => {
      event.preventDefault();
      teach("deck", element("deck").value.trim() || null);
      element("editing").open = false;
    });
    document.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  turn({at}) {
    this.#at = Number(at) || 0;
    this.#draw();
  }

  use(text) {
    this.#text = text;
    this.#draw();
  }

  get #slides() {
    return (this.#text ?? say("sample")).split(BREAK).map((slide) => slide.trim());
  }

  #go(by) {
    const at = Math.min(Math.max(this.#at + by, 0), this.#slides.length - 1);
    if (this.#isTeacher && at !== this.#at) this.#teach("slide", {at});
  }

  #draw() {
    const slides = this.#slides;
    const at = Math.min(this.#at, slides.length - 1);
    const [title, ...lines] = slides[at].split("\n");
    element("slide").replaceChildren(
      create("p", {className: "slide-title typed", textContent: title}),
      ...lines.filter((line) => line.trim()).map((line) => create("p", {className: "typed", textContent: line})),
    );
    element("place").textContent = say("place", {at: at + 1, all: slides.length});
    if (!element("editing").open) element("deck").value = this.#text ?? say("sample");
  }
}
