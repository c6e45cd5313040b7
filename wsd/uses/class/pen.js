// The pen: what a mouse, a finger or the keyboard draws on the whiteboard, as lines between two points.

export const [WIDTH, HEIGHT] = [800, 450];
const STEP = 10; // pixels that an arrow key moves the pen
const KEYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

/** Calls `paint(from, to)` while `canPaint()`. */
export class Pen {
  #canvas;
  #board;
  #from = null; // where the mouse or the finger is down
  #hand = {x: WIDTH / 2, y: HEIGHT / 2, isDown: false}; // the pen of the keyboard

  constructor(canvas, {canPaint, paint}) {
    this.#canvas = canvas;
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
    this.#hand.x = Math.min(Math.max(from.x + right * STEP, 0), WIDTH);
    this.#hand.y = Math.min(Math.max(from.y + down * STEP, 0), HEIGHT);
    if (this.#hand.isDown) this.#board.paint(from, this.#hand);
    const style = document.getElementById("pen").style;
    [style.left, style.top] = [`${(this.#hand.x / WIDTH) * 100}%`, `${(this.#hand.y / HEIGHT) * 100}%`];
  }

  #pointOf({offsetX, offsetY}) {
    return {x: (offsetX / this.#canvas.clientWidth) * WIDTH, y: (offsetY / this.#canvas.clientHeight) * HEIGHT};
  }
}
