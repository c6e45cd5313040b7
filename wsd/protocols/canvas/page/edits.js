// What was painted on this page, kept so that it can be undone although others paint on the same canvas.

const TILE = 64; // pixels along the side of a tile: changes that lie far apart are sent as parts of their own
const MOST_PLACES = 4 << 20; // changed pixels that can be undone, 12 bytes each
const MOST_EDITS = 100;

/** The pixels that one gesture changes, while it goes on. */
export class Recorder {
  constructor(width, height) {
    this.width = width;
    this.before = new Uint32Array(width * height);
    this.after = new Uint32Array(width * height);
    this.isChanged = new Uint8Array(width * height);
  }

  /** A box was painted: the ImageData before and after. */
  add(box, before, after) {
    const was = new Uint32Array(before.data.buffer);
    const is = new Uint32Array(after.data.buffer);
    for (let at = 0; at < was.length; at++) {
      if (was[at] === is[at]) continue;
      const place = (box.y + Math.floor(at / box.width)) * this.width + box.x + at % box.width;
      // Where somebody else has painted since the gesture came by, what they painted is what undo restores.
      if (!this.isChanged[place] || this.after[place] !== was[at]) this.before[place] = was[at];
      this.isChanged[place] = 1;
      this.after[place] = is[at];
    }
  }

  /** All that the gesture changed. */
  edit() {
    const places = Uint32Array.from(this.#changed());
    return new Edit(this.width, places, places.map((at) => this.before[at]), places.map((at) => this.after[at]));
  }

  * #changed() {
    for (let place = 0; place < this.isChanged.length; place++) if (this.isChanged[place]) yield place;
  }
}

/**
 * The pixels that one gesture has changed. It can be taken back and made again.
 *
 * Only pixels that still are as the gesture left them are taken back. Where somebody has painted since, theirs stay.
 */
class Edit {
  constructor(width, places, before, after) {
    Object.assign(this, {width, places, before, after});
  }

  /** Takes the gesture back. Returns the boxes that changed. */
  undo(pen) {
    return this.#replace(pen, this.after, this.before);
  }

  /** Makes the gesture again. Returns the boxes that changed. */
  redo(pen) {
    return this.#replace(pen, this.before, this.after);
  }

  #replace(pen, from, to) {
    const around = new Boxes();
    for (const place of this.places) around.add(place % this.width, Math.floor(place / this.width));
    const box = around.whole;
    if (!box) return [];
    const image = pen.getImageData(box.x, box.y, box.width, box.height);
    const pixels = new Uint32Array(image.data.buffer);
    const changed = new Boxes();
    this.places.forEach((place, index) => {
      const x = place % this.width, y = Math.floor(place / this.width);
      const at = (y - box.y) * box.width + x - box.x;
      if (pixels[at] !== from[index]) return;
      pixels[at] = to[index];
      changed.add(x, y);
    });
    pen.putImageData(image, box.x, box.y);
    return changed.list();
  }
}

/** The boxes around some pixels: one for each tile that has any, or a single one if that is hardly more to send. */
class Boxes {
  #tiles = new Map();

  add(x, y) {
    const key = Math.floor(y / TILE) * 65536 + Math.floor(x / TILE);
    const edges = this.#tiles.get(key);
    if (!edges) this.#tiles.set(key, [x, y, x, y]);
    else {
      if (x < edges[0]) edges[0] = x;
      if (y < edges[1]) edges[1] = y;
      if (x > edges[2]) edges[2] = x;
      if (y > edges[3]) edges[3] = y;
    }
  }

  get whole() {
    const all = [...this.#tiles.values()];
    if (!all.length) return null;
    const edge = (index, choose) => choose(...all.map((edges) => edges[index]));
    return boxOf([edge(0, Math.min), edge(1, Math.min), edge(2, Math.max), edge(3, Math.max)]);
  }

  list() {
    const boxes = [...this.#tiles.values()].map(boxOf);
    const area = (box) => box.width * box.height;
    const sum = boxes.reduce((total, box) => total + area(box), 0);
    return boxes.length < 2 || area(this.whole) > 2 * sum ? boxes : [this.whole];
  }
}

function boxOf([left, top, right, bottom]) {
  return {x: left, y: top, width: right - left + 1, height: bottom - top + 1};
}

/** The gestures of this page, newest last. */
export class History {
  #done = [];
  #undone = [];
  onchange = () => {};

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** A new gesture is complete. What was taken back before cannot be made again. */
  add(edit) {
    if (!edit.places.length) return;
    this.#done.push(edit);
    this.#undone = [];
    let places = this.#done.reduce((total, each) => total + each.places.length, 0);
    while (this.#done.length > 1 && (places > MOST_PLACES || this.#done.length > MOST_EDITS)) {
      places -= this.#done.shift().places.length;
    }
    this.onchange();
  }

  /** Returns the gesture to take back, or undefined. */
  takeUndo() {
    return this.#move(this.#done, this.#undone);
  }

  /** Returns the gesture to make again, or undefined. */
  takeRedo() {
    return this.#move(this.#undone, this.#done);
  }

  /** Forgets everything: the canvas has another size now. */
  clear() {
    this.#done = [];
    this.#undone = [];
    this.onchange();
  }

  #move(from, to) {
    const edit = from.pop();
    if (edit) to.push(edit);
    this.onchange();
    return edit;
  }
}
