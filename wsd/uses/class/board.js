// The whiteboard: a canvas of wsd, of which only the parts that change are sent. The server lets only those paint whose
// token says so.

import {say} from "/_wsd/language.js";
import {socketAt} from "/uses/shared/frame.js";
import {HEIGHT, Pen, WIDTH} from "./pen.js";

const PART = 60; // ms between two parts
const element = (id) => document.getElementById(id);

/** The whiteboard of a class. */
export class Board {
  #canvas = element("board");
  #ink = this.#canvas.getContext("2d", {willReadFrequently: true});
  #options;
  #pen = null; // {token, until} that the teacher has given to us
  #socket = null;
  #line = {}; // what the server said of the frame that follows
  #sent = []; // changes of ours whose receipt has not come
  #pending = []; // changes of ours that the last frame may not have
  #stroke = null; // since the last part: {lines, box}

  /** Options: `room`, `isTeacher` and `askToken()`. */
  constructor(options) {
    this.#options = options;
    new Pen(this.#canvas, {canPaint: () => this.#canPaint, paint: (from, to) => this.#paint(from, to)});
    element("clear").addEventListener("click", () => this.#clear());
    document.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  async connect() {
    const isGiven = this.#pen?.until > Date.now();
    this.mayPaint = this.#options.isTeacher || isGiven;
    let token;
    try {
      token = isGiven ? this.#pen.token : (await this.#options.askToken()).token;
    } catch {
      setTimeout(() => this.connect(), 1000);
      return;
    }
    const role = this.mayPaint ? "painter" : "viewer";
    const query = `width=${WIDTH}&height=${HEIGHT}&role=${role}&meta`;
    const url = socketAt(`/uses/class/board/${this.#options.room}?${query}`);
    const socket = new WebSocket(url, ["canvas", `bearer.${token}`]);
    [this.#socket, this.#sent, this.#pending] = [socket, [], []];
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#begin();
    socket.onmessage = ({data}) => (typeof data === "string" ? this.#heard(JSON.parse(data)) : this.#show(data));
    socket.onclose = () => {
      this.#draw();
      if (socket === this.#socket) setTimeout(() => this.connect(), 1000);
    };
  }

  /** Sends a part of the picture: a line that says where it is, and then its pixels. */
  #send(box, change) {
    // lesson: board
    this.#socket.send(JSON.stringify(box));
    this.#socket.send(this.#ink.getImageData(box.x, box.y, box.width, box.height).data);
    // end of lesson
    this.#sent.push(change);
    this.#pending.push(change);
  }

  /** The teacher has given the pen to us. */
  takePen(token, seconds) {
    this.#pen = {token, until: Date.now() + seconds * 1000 - 2000};
    this.#socket.onclose = null;
    this.#socket.close();
    this.connect();
    this.#draw();
  }

  get #canPaint() {
    return this.mayPaint && this.#socket?.readyState === WebSocket.OPEN;
  }

  #draw() {
    element("paints").textContent = say(this.mayPaint ? (this.#options.isTeacher ? "youPaint" : "penIsYours") : "youWatch");
    document.body.classList.toggle("paints", Boolean(this.mayPaint));
    document.body.dataset.board = this.#socket?.readyState === WebSocket.OPEN ? "open" : "";
  }

  /** The connection is open: the server sends its picture, unless nobody has painted. */
  #begin() {
    this.#ink.clearRect(0, 0, WIDTH, HEIGHT);
    this.#draw();
  }

  #heard(line) {
    if ("viewers" in line) {
      const change = this.#sent.shift();
      if (change) change.frame = line.frame;
    } else if (!line.error) this.#line = line;
  }

  #show(pixels) {
    const {width, height, frame} = this.#line;
    this.#ink.putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
    this.#pending = this.#pending.filter((change) => !(change.frame <= frame));
    for (const change of [...this.#pending, this.#stroke]) change?.lines.forEach((line) => this.#drawLine(line));
  }

  #clear() {
    if (!this.#canPaint) return;
    this.#ink.clearRect(0, 0, WIDTH, HEIGHT);
    [this.#stroke, this.#pending] = [null, []];
    this.#send({x: 0, y: 0, width: WIDTH, height: HEIGHT}, {lines: []});
  }

  // -- painting ------------------------------------------------------------------------------------------------------

  #paint(from, to) {
    const colour = document.querySelector("[name=ink]:checked").value;
    const line = {from: {...from}, to: {...to}, colour, width: colour === "#ffffff" ? 24 : 4};
    this.#drawLine(line);
    if (this.#stroke === null) {
      this.#stroke = {lines: []};
      setTimeout(() => this.#flush(), PART);
    }
    this.#stroke.lines.push(line);
  }

  #drawLine({from, to, colour, width}) {
    this.#ink.strokeStyle = colour;
    this.#ink.lineWidth = width;
    this.#ink.lineCap = "round";
    this.#ink.beginPath();
    this.#ink.moveTo(from.x, from.y);
    this.#ink.lineTo(to.x, to.y);
    this.#ink.stroke();
  }

  #flush() {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (!stroke || !this.#canPaint) return;
    const points = stroke.lines.flatMap(({from, to}) => [from, to]);
    const edge = Math.max(...stroke.lines.map(({width}) => width)) / 2 + 1;
    const bound = (key, most) => {
      const values = points.map((point) => point[key]);
      const low = Math.max(0, Math.floor(Math.min(...values) - edge));
      return [low, Math.min(most, Math.ceil(Math.max(...values) + edge)) - low];
    };
    const [[x, width], [y, height]] = [bound("x", WIDTH), bound("y", HEIGHT)];
    if (width > 0 && height > 0) this.#send({x, y, width, height}, stroke);
  }
}
