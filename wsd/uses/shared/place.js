// The place of a reader in a list that grows at its top: new items push nothing away, and a button counts them.

/** Follows where the window is scrolled to. */
export class ReadingPlace {
  #list;
  #button;
  #textOf;
  #newer = 0; // items that have come above what is being read

  /** `button` is shown while there are new items above the window, with `textOf(number)`. It leads to `title`. */
  constructor(list, title, button, textOf) {
    this.#list = list;
    this.#button = button;
    this.#textOf = textOf;
    button.addEventListener("click", () => {
      title.scrollIntoView({block: "start"});
      title.focus({preventScroll: true});
    });
    addEventListener("scroll", () => this.#isAtTop && this.#count(0), {passive: true});
    document.addEventListener("language", () => this.#count(this.#newer));
  }

  get #isAtTop() {
    return this.#list.getBoundingClientRect().top >= 0;
  }

  #count(number) {
    this.#newer = number;
    this.#button.hidden = number === 0;
    this.#button.textContent = this.#textOf(number);
  }

  /** Inserts an item before another one, and leaves what is being read where it is. */
  insert(item, next, isCounted) {
    // lesson: place
    const read = [...this.#list.children].find((each) => each.getBoundingClientRect().bottom > 0);
    const isAtTop = this.#isAtTop;
    const before = read?.getBoundingClientRect().top;
    this.#list.insertBefore(item, next);
    if (isAtTop || !read) return;
    scrollBy({top: read.getBoundingClientRect().top - before, behavior: "instant"});
    // end of lesson
    if (isCounted && item.getBoundingClientRect().bottom <= 0) this.#count(this.#newer + 1);
  }
}
