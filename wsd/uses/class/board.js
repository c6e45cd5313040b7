// The whiteboard: a canvas of the server. The server lets only those paint whose token says so.

import {say} from "/_wsd/language.js";
import {SharedCanvas} from "/uses/shared/canvas.js";
import {socketAt} from "/uses/shared/frame.js";
import {Pen} from "/uses/shared/pen.js";

const WHITE = "#ffffff"; // the eraser's colour
const element = (id) => document.getElementById(id);

/** The whiteboard of a class. */
export class Board {
  #options;
  #canvas;
  #pen = null; // {token, until} that the teacher has given to us
  #mayPaint = false;

  /** Options: `room`, `isTeacher` and `askToken()`. */
  constructor(options) {
    this.#options = options;
    const draw = () => this.#draw();
    this.#canvas = new SharedCanvas(element("board"), {open: () => this.#open(), onchange: draw});
    new Pen(element("board"), {canPaint: () => this.#canPaint, paint: (from, to) => this.#paint(from, to)});
    element("clear").addEventListener("click", () => this.#canPaint && this.#canvas.clear());
    document.addEventListener("language", draw);
  }

  async #open() {
    const {room, isTeacher, askToken} = this.#options;
    const isGiven = this.#pen?.until > Date.now();
    const {token} = isGiven ? this.#pen : await askToken();
    this.#mayPaint = isTeacher || isGiven;
    const {width, height} = element("board");
    const query = `width=${width}&height=${height}&role=${this.#mayPaint ? "painter" : "viewer"}&meta`;
    return new WebSocket(socketAt(`/uses/class/board/${room}?${query}`), ["canvas", `bearer.${token}`]);
  }

  /** The teacher has given the pen to us. */
  takePen(token, seconds) {
    this.#pen = {token, until: Date.now() + seconds * 1000 - 2000};
    this.#canvas.reconnect();
  }

  get #canPaint() {
    return this.#mayPaint && this.#canvas.isOpen;
  }

  #paint(from, to) {
    const colour = document.querySelector("[name=ink]:checked").value;
    this.#canvas.draw({from: {...from}, to: {...to}, colour, width: colour === WHITE ? 24 : 4});
  }

  #draw() {
    const words = this.#options.isTeacher ? "youPaint" : "penIsYours";
    element("paints").textContent = say(this.#mayPaint ? words : "youWatch");
    document.body.classList.toggle("paints", this.#mayPaint);
    document.body.dataset.board = this.#canvas.isOpen ? "open" : "";
  }
}
