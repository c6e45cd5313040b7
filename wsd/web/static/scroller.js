// A list of which only the rows in sight are in the page, so that 10,000 rows cost as much as ten. All rows have one
// height but those that are open, whose heights are measured.

const BEYOND = 12; // rows that are made beyond each edge

export class Scroller {
  items = []; // {id, opened}, by growing ids
  #list;
  #make;
  #views = new Map(); // id -> view, of the rows that are in the page
  #away = new Map(); // id -> view, of open rows that are out of sight: they keep what is unfolded in them
  #more = new Map(); // id -> pixels that an open row is higher than the others
  #heights = new ResizeObserver((entries) => this.#measure(entries.map(({target}) => target)));
  #height = 0;

  /** `list` is the element that scrolls; `make` makes the view {element, row, draw()} of an item. */
  constructor(list, make) {
    this.#list = list;
    this.#make = make;
    list.addEventListener("scroll", () => this.draw(), {passive: true});
    new ResizeObserver(() => this.#fit()).observe(list);
    this.#fit();
  }

  /** The views that are in the page. */
  get views() {
    return [...this.#views.values()];
  }

  /** Draws all views anew. */
  redraw() {
    for (const view of [...this.#views.values(), ...this.#away.values()]) view.draw();
  }

  get isAtEnd() {
    return this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < this.#height + 10;
  }

  /** The view of an item that is in the page, or undefined. */
  view(item) {
    return this.#views.get(item?.id);
  }

  /** Forgets all views: other items follow. */
  reset(items) {
    for (const view of this.#views.values()) view.element.remove();
    this.#views.clear();
    this.#away.clear();
    this.#more.clear();
    this.#heights.disconnect();
    this.items = items;
  }

  /** Drops the first `count` items. What is in sight stays where it is. */
  dropFirst(count) {
    const above = this.#offset(count);
    for (const {id} of this.items.splice(0, count)) {
      this.#more.delete(id);
      this.#away.delete(id);
    }
    if (!this.isAtEnd) this.#list.scrollTop -= above;
  }

  toEnd() {
    this.draw();
    this.#list.scrollTop = this.#list.scrollHeight;
    this.draw();
  }

  /** Brings an item into sight. */
  show(item) {
    const at = this.indexOf(item.id);
    const top = this.#offset(at);
    const bottom = this.#offset(at + 1);
    const {scrollTop, clientHeight} = this.#list;
    if (top < scrollTop) this.#list.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.#list.scrollTop = Math.min(top, bottom - clientHeight);
    this.draw();
  }

  /** The index of an id, or of where it would be. */
  indexOf(id) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Puts the rows in sight into the page, and takes out the others. */
  draw() {
    const {scrollTop, clientHeight} = this.#list;
    const first = Math.max(0, this.#indexAt(scrollTop) - BEYOND);
    const last = Math.min(this.items.length, this.#indexAt(scrollTop + clientHeight) + BEYOND);
    const wanted = this.items.slice(first, last);
    this.#removeBut(new Set(wanted.map(({id}) => id)));
    let next = this.#list.firstElementChild;
    for (const [index, item] of wanted.entries()) {
      const {element} = this.#views.get(item.id) ?? this.#add(item);
      if (element === next) next = next.nextElementSibling;
      else this.#list.insertBefore(element, next);
      element.ariaPosInSet = String(first + index + 1);
      element.ariaSetSize = String(this.items.length);
    }
    this.#list.style.setProperty("--above", `${this.#offset(first)}px`);
    this.#list.style.setProperty("--below", `${this.#offset(this.items.length) - this.#offset(last)}px`);
  }

  #add(item) {
    const view = this.#away.get(item.id) ?? this.#make(item);
    this.#away.delete(item.id);
    view.element.dataset.id = item.id;
    this.#views.set(item.id, view);
    this.#heights.observe(view.element);
    return view;
  }

  #removeBut(wanted) {
    for (const [id, view] of this.#views) {
      if (wanted.has(id)) continue;
      if (view.element.contains(document.activeElement)) this.#list.focus({preventScroll: true});
      this.#heights.unobserve(view.element);
      view.element.remove();
      this.#views.delete(id);
      if (view.row.opened) this.#away.set(id, view);
    }
  }

  /** Follows the size of the list: a narrow one has higher rows. */
  #fit() {
    const height = parseFloat(getComputedStyle(this.#list).getPropertyValue("--row-height"));
    if (height !== this.#height) this.#more.clear();
    this.#height = height;
    this.draw();
    this.#measure(this.views.map(({element}) => element));
  }

  #measure(elements) {
    let changed = false;
    for (const element of elements) {
      const id = Number(element.dataset.id);
      if (!element.isConnected || !this.#views.has(id)) continue;
      const more = this.#views.get(id).row.opened ? element.offsetHeight - this.#height : 0;
      if ((this.#more.get(id) ?? 0) === more) continue;
      if (more) this.#more.set(id, more);
      else this.#more.delete(id);
      changed = true;
    }
    if (changed) this.draw();
  }

  /** The pixels above an index. */
  #offset(index) {
    let pixels = index * this.#height;
    for (const [id, more] of this.#more) if (this.indexOf(id) < index) pixels += more;
    return pixels;
  }

  /** The index of the row at so many pixels from the top. */
  #indexAt(pixels) {
    const open = [...this.#more].map(([id, more]) => [this.indexOf(id), more]).sort((one, other) => one[0] - other[0]);
    let left = pixels;
    for (const [index, more] of open) {
      if (left < (index + 1) * this.#height) break;
      if (left < (index + 1) * this.#height + more) return index;
      left -= more;
    }
    return Math.floor(left / this.#height);
  }
}
