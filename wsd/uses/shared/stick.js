// Where a player wants to go: by the keys, and with a finger or a mouse by the field, which is a stick.

const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  KeyA: [-1, 0], KeyD: [1, 0], KeyW: [0, -1], KeyS: [0, 1],
};
const FULL = 40; // pixels from where the pointer went down to the full pace
const OTHERS = "input, select, textarea, button, a, summary, pre";

export class Stick {
  #held = new Set();
  #stick = null; // {id, x, y, to} while a pointer is down on the field
  #dash = false;

  constructor(field, button) {
    document.addEventListener("keydown", (event) => this.#pressed(event));
    document.addEventListener("keyup", ({code}) => this.#held.delete(code));
    window.addEventListener("blur", () => this.#held.clear());
    field.addEventListener("pointerdown", (event) => this.#down(event, field));
    field.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"]) {
      field.addEventListener(end, ({pointerId}) => { if (pointerId === this.#stick?.id) this.#stick = null; });
    }
    button.addEventListener("click", () => { this.#dash = true; });
  }

  /** The next step: x and y, together at most 1 long, and whether to dash. */
  read() {
    const dash = this.#dash;
    this.#dash = false;
    let [x, y] = this.#stick?.to ?? [0, 0];
    for (const code of this.#held) {
      x += KEYS[code][0];
      y += KEYS[code][1];
    }
    const length = Math.max(1, Math.hypot(x, y));
    return [x / length, y / length, dash];
  }

  #pressed(event) {
    if (event.target.closest(OTHERS) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === "Space") this.#dash = true;
    else if (event.code in KEYS) this.#held.add(event.code);
    else return;
    event.preventDefault();
  }

  #down(event, field) {
    if (this.#stick) {
      this.#dash = true; // a second finger
      return;
    }
    field.setPointerCapture(event.pointerId);
    this.#stick = {id: event.pointerId, x: event.clientX, y: event.clientY, to: [0, 0]};
  }

  #moved({pointerId, clientX, clientY}) {
    if (pointerId === this.#stick?.id) {
      this.#stick.to = [(clientX - this.#stick.x) / FULL, (clientY - this.#stick.y) / FULL];
    }
  }
}
