// A pen on a canvas: what a mouse, a finger or the keyboard draws, as lines between two points.

import {clamp} from "./geometry.js";

const STEP = 10; // pixels that an arrow key moves the pen
const KEYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

/** Calls `paint(from, to)` while `canPaint()`. The element #pen lies where the keyboard's pen is. */
export class Pen {
  #canvas;
  #board;
  #from = null; // where the mouse or the finger is down
  #hand; // the pen of the keyboard

  constructor(canvas, {canPaint, paint}) {
    this.#canvas = canvas;
    this.#hand = {x: canvas.width / 2, y: canvas.height / 2, isDown: false};
    this.#board = {canPaint, paint};
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { this.#from = null; });
    canvas.addEventListener("keydown", (event) => this.#pressed(event));
    canvas.addEventListener("blur", () => { this.#hand.isDown = false; });
  }

  #down(event) {
    if (!this.#board.canPaint()) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#from = this.#pointOf(event);
    this.#board.paint(this.#from, this.#from);
  }

  #moved(event) {
    if (this.#from === null) return;
    const to = this.#pointOf(event);
    this.#board.paint(this.#from, to);
    this.#from = to;
  }

  #pressed(event) {
    if (!(event.key in KEYS || event.key === " ") || !this.#board.canPaint()) return;
    event.preventDefault();
    const from = {...this.#hand};
    if (event.key === " ") this.#hand.isDown = !this.#hand.isDown;
    const [right, down] = KEYS[event.key] ?? [0, 0];
    const {width, height} = this.#canvas;
    this.#hand.x = clamp(from.x + right * STEP, 0, width);
    this.#hand.y = clamp(from.y + down * STEP, 0, height);
    if (this.#hand.isDown) this.#board.paint(from, this.#hand);
    const style = document.getElementById("pen").style;
    [style.left, style.top] = [`${(this.#hand.x / width) * 100}%`, `${(this.#hand.y / height) * 100}%`];
  }

  #pointOf({offsetX, offsetY}) {
    const {width, height, clientWidth, clientHeight} = this.#canvas;
    return {x: (offsetX / clientWidth) * width, y: (offsetY / clientHeight) * height};
  }
}
