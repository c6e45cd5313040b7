// The picture: what is painted here, and what comes from others.

import {Stroke} from "./brush.js";
import {Recorder} from "./edits.js";

/**
 * The picture of one canvas.
 *
 * What is painted here is drawn at once, and sent with the next picture of the screen. A frame from the server may be
 * older than that: changes that are not in it yet are drawn over it again.
 */
export class Painting {
  #link;
  #history;
  #pending = []; // changes that are in no frame that came back
  #stroke = null; // what was drawn since the last picture of the screen
  #gesture = null; // from pen down to pen up: where the pen is, its brush, and a recorder
  #isFresh = true; // since the connection opened no frame has come
  isBlank = true;

  constructor(canvas, link, history) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", {willReadFrequently: true});
    this.#link = link;
    this.#history = history;
  }

  get isDown() {
    return this.#gesture !== null;
  }

  // -- gestures --------------------------------------------------------------------------------------------------

  /** The pen goes down. Nothing is painted without a connection: it would be lost. */
  begin(point, brush, pressure = 1) {
    if (!this.#link.isOpen) return;
    const {width, height} = this.canvas;
    this.#gesture = {last: point, brush, recorder: new Recorder(width, height)};
    this.move(point, pressure);
  }

  move(point, pressure = 1) {
    if (!this.#gesture) return;
    if (!this.#stroke) {
      this.#stroke = new Stroke(this.#gesture.brush);
      this.#pending.push(this.#stroke);
      requestAnimationFrame(() => this.#flush());
    }
    this.#stroke.add(this.pen, this.#gesture.last, point, pressure, this.#gesture.recorder);
    this.#gesture.last = point;
    this.isBlank = false;
  }

  /** The pen goes up: what it painted can be undone now. */
  end() {
    const gesture = this.#gesture;
    this.#gesture = null;
    if (gesture) this.#history.add(gesture.recorder.edit());
  }

  /** The gesture was none, as when a second finger comes to zoom: take it back. */
  cancel() {
    const gesture = this.#gesture;
    this.#gesture = null;
    if (gesture) this.#apply(gesture.recorder.edit(), "undo");
  }

  undo() {
    if (!this.isDown && this.#link.isOpen) this.#apply(this.#history.takeUndo(), "undo");
  }

  redo() {
    if (!this.isDown && this.#link.isOpen) this.#apply(this.#history.takeRedo(), "redo");
  }

  clear() {
    if (this.isDown || !this.#link.isOpen) return;
    this.#flush();
    const {width, height} = this.canvas;
    const recorder = new Recorder(width, height);
    const read = () => this.pen.getImageData(0, 0, width, height);
    const before = read();
    this.pen.clearRect(0, 0, width, height);
    recorder.add({x: 0, y: 0, width, height}, before, read());
    this.#history.add(recorder.edit());
    const change = {draw: (pen) => pen.clearRect(0, 0, width, height)};
    this.#pending.push(change);
    this.#link.sendWhole(change, this.pen);
  }

  #apply(edit, way) {
    if (!edit || !this.#link.isOpen) return;
    this.#flush();
    const change = {draw: (pen) => edit[way](pen)};
    const boxes = change.draw(this.pen);
    if (!boxes.length) return;
    this.#pending.push(change);
    this.#link.send(change, boxes, this.pen);
  }

  /** Sends the part that changed since the last picture of the screen. */
  #flush() {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (!stroke) return;
    if (stroke.box && this.#link.isOpen) this.#link.send(stroke, [stroke.box], this.pen);
    else this.#pending.splice(this.#pending.indexOf(stroke), 1);
  }

  // -- what the server says --------------------------------------------------------------------------------------

  /** A new connection: what was not sent or not acknowledged is no longer waited for. */
  opening() {
    this.#gesture = null;
    this.#stroke = null;
    this.#pending = [];
    this.#isFresh = true;
  }

  /** A frame has come: show it, and over it what is painted here and not in it. */
  show({width, height, frame}, pixels) {
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.#gesture = null;
      this.#history.clear();
    }
    this.#isFresh = false;
    this.isBlank = false;
    this.pen.putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
    this.#pending = this.#pending.filter((each) => !each.frame || each.frame > frame);
    for (const each of this.#pending) each.draw(this.pen);
  }

  /** The server has no picture of this canvas, because it was restarted: give it the one that is here. */
  restore() {
    if (this.#isFresh && !this.isBlank && !this.#pending.length) this.#link.sendWhole({}, this.pen);
    this.#isFresh = false;
  }
}
