// The canvas to draw on, with a pointer or with the keys.

import {say} from "./language.js";
import {HEIGHT, WIDTH} from "./picture.js";

const INKS = [
  ["inkBlack", "#1b1f24"], ["inkBlue", "#1559b7"], ["inkGreen", "#1a7f37"], ["inkRed", "#c62828"], ["inkWhite", "#ffffff"],
];
const STEP = 8; // pixels an arrow key moves the pen; one with Shift
const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

export class Pad {
  #canvas = document.getElementById("pad");
  // The pixels are read often and never composed by the GPU.
  #context = this.#canvas.getContext("2d", {willReadFrequently: true});
  #pen = document.getElementById("pen");
  #at = {x: WIDTH / 2, y: HEIGHT / 2};
  #down = false; // the pen of the keys

  /** `announce` takes a sentence for those who listen to the page. */
  constructor(announce) {
    this.announce = announce;
    this.#context.lineCap = this.#context.lineJoin = "round";
    this.wipe();
    this.#offerInks();
    this.#canvas.addEventListener("pointerdown", (event) => this.#press(event));
    this.#canvas.addEventListener("pointermove", (event) => this.#drag(event));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#canvas.addEventListener("focus", () => this.#showPen());
    this.#canvas.addEventListener("blur", () => {
      this.#pen.hidden = true;
    });
    document.addEventListener("language", () => this.#offerInks());
  }

  /** The pixels as ImageData's own ArrayBuffer, as pages send them: 512,000 bytes. */
  buffer() {
    return this.#context.getImageData(0, 0, WIDTH, HEIGHT).data.buffer;
  }

  wipe() {
    this.#context.fillStyle = "#ffffff";
    this.#context.fillRect(0, 0, WIDTH, HEIGHT);
  }

  #offerInks() {
    const box = document.getElementById("inks");
    const chosen = box.querySelector(":checked")?.value ?? INKS[0][1];
    box.querySelectorAll("label").forEach((label) => label.remove());
    for (const [key, colour] of INKS) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), {
        type: "radio", name: "ink", value: colour, checked: colour === chosen, title: say(key),
      });
      input.setAttribute("aria-label", say(key));
      input.style.setProperty("--ink", colour);
      label.append(input);
      box.append(label);
    }
  }

  #ink() {
    const colour = document.querySelector("#inks :checked").value;
    this.#context.strokeStyle = colour;
    this.#context.lineWidth = colour === "#ffffff" ? 20 : 4;
  }

  #line(to) {
    this.#ink();
    this.#context.beginPath();
    this.#context.moveTo(this.#at.x, this.#at.y);
    this.#context.lineTo(to.x, to.y);
    this.#context.stroke();
    this.#at = to;
  }

  /** A line of no length draws nothing, so a mere touch draws this. */
  #dot() {
    this.#ink();
    this.#context.fillStyle = this.#context.strokeStyle;
    this.#context.beginPath();
    this.#context.arc(this.#at.x, this.#at.y, this.#context.lineWidth / 2, 0, 2 * Math.PI);
    this.#context.fill();
  }

  /** Where an event is, in pixels of the picture, whatever size the canvas has on the page. */
  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left - this.#canvas.clientLeft) * WIDTH) / this.#canvas.clientWidth,
      y: ((event.clientY - box.top - this.#canvas.clientTop) * HEIGHT) / this.#canvas.clientHeight,
    };
  }

  #press(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#at = this.#place(event);
    this.#dot();
    this.#pen.hidden = true;
  }

  #drag(event) {
    if (!this.#canvas.hasPointerCapture(event.pointerId)) return;
    for (const each of event.getCoalescedEvents?.() ?? []) this.#line(this.#place(each));
    this.#line(this.#place(event));
  }

  #key(event) {
    const move = MOVES[event.key];
    if (move) this.#move(move, event.shiftKey ? 1 : STEP);
    else if (event.key === " ") this.#toggle();
    else if (event.key === "Delete" || event.key === "Backspace") {
      this.wipe();
      this.announce(say("wiped"));
    } else return;
    event.preventDefault();
    this.#showPen();
  }

  #move([right, down], step) {
    const to = {
      x: Math.min(WIDTH, Math.max(0, this.#at.x + right * step)),
      y: Math.min(HEIGHT, Math.max(0, this.#at.y + down * step)),
    };
    if (this.#down) this.#line(to);
    this.#at = to;
  }

  #toggle() {
    this.#down = !this.#down;
    if (this.#down) this.#dot();
    this.announce(say(this.#down ? "penDown" : "penUp"));
  }

  #showPen() {
    if (!this.#canvas.matches(":focus-visible")) return;
    this.#pen.hidden = false;
    this.#pen.classList.toggle("down", this.#down);
    this.#pen.style.left = `${(this.#at.x / WIDTH) * 100}%`;
    this.#pen.style.top = `${(this.#at.y / HEIGHT) * 100}%`;
  }
}
