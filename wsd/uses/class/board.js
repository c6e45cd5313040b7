// The whiteboard: a canvas of wsd, of which only the parts that change are sent. The server lets only those paint whose
// token says so.

import {say} from "/_wsd/language.js";
import {socketAt} from "/uses/shared/frame.js";

const [WIDTH, HEIGHT] = [800, 450];
const PART = 60; // ms between two parts
const STEP = 10; // pixels that an arrow key moves the pen
const KEYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
const element = (id) => document.getElementById(id);

/** The whiteboard of a class. */
export class Board {
  #canvas = element("board");
  #ink = this.#canvas.getContext("2d", {willReadFrequently: true});
  #options;
  #pen = null; // {token, until} that the teacher has given to us
  #socket = null;
  #line = {}; // what the server said of the frame that follows
  #isFresh = true; // since the connection opened, no frame has come
  #isBlank = true;
  #sent = []; // changes of ours whose receipt has not come
  #pending = []; // changes of ours that the last frame may not have
  #stroke = null; // since the last part: {lines, box}
  #from = null; // where the pen is down
  #hand = {x: WIDTH / 2, y: HEIGHT / 2, isDown: false}; // the pen of the keyboard

  /** Options: `room`, `isTeacher` and `askToken()`. */
  constructor(options) {
    this.#options = options;
    this.#canvas.addEventListener("pointerdown", (event) => this.#down(event));
    this.#canvas.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"]) this.#canvas.addEventListener(end, () => { this.#from = null; });
    this.#canvas.addEventListener("keydown", (event) => this.#pressed(event));
    this.#canvas.addEventListener("blur", () => { this.#hand.isDown = false; });
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
    const query = `width=${WIDTH}&height=${HEIGHT}&role=${role}&meta&watching`;
    const url = socketAt(`/uses/class/board/${this.#options.room}?${query}`);
    const socket = new WebSocket(url, ["canvas", `bearer.${token}`]);
    [this.#socket, this.#isFresh, this.#sent] = [socket, true, []];
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#draw();
    socket.onmessage = ({data}) => (typeof data === "string" ? this.#heard(JSON.parse(data)) : this.#show(data));
    socket.onclose = () => socket === this.#socket && setTimeout(() => this.connect(), 1000);
  }

  // lesson: board
  /** Sends a part of the picture: a line that says where it lies, and its pixels. */
  #send(box, change) {
    this.#socket.send(JSON.stringify(box));
    this.#socket.send(this.#ink.getImageData(box.x, box.y, box.width, box.height).data);
    this.#sent.push(change);
    this.#pending.push(change);
  }
  // end of lesson

  /** The teacher has given the pen to us. */
  takePen(token, seconds) {
    this.#pen = {token, until: Date.now() + seconds * 1000 - 2000};
    this.#socket.onclose = null;
    this.#socket.close();
    this.connect();
  }

  get #canPaint() {
    return this.mayPaint && this.#socket?.readyState === WebSocket.OPEN;
  }

  #draw() {
    element("paints").textContent = say(this.mayPaint ? (this.#options.isTeacher ? "youPaint" : "penIsYours") : "youWatch");
    document.body.classList.toggle("paints", Boolean(this.mayPaint));
    document.body.dataset.board = this.#socket?.readyState === WebSocket.OPEN ? "open" : "";
  }

  #heard(line) {
    if ("viewers" in line) {
      const change = this.#sent.shift();
      if (change) change.frame = line.frame;
    } else if ("watching" in line) {
      // The server has no picture: it was restarted. The teacher's page still has it.
      if (this.#isFresh && !this.#isBlank && this.#options.isTeacher) this.#sendAll();
      this.#isFresh = false;
    } else if (!line.error) this.#line = line;
  }

  #show(pixels) {
    const {width, height, frame} = this.#line;
    [this.#isFresh, this.#isBlank] = [false, false];
    this.#ink.putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
    this.#pending = this.#pending.filter((change) => !(change.frame <= frame));
    for (const change of [...this.#pending, this.#stroke]) change?.lines.forEach((line) => this.#drawLine(line));
  }

  #sendAll() {
    this.#send({x: 0, y: 0, width: WIDTH, height: HEIGHT}, {lines: []});
  }

  #clear() {
    if (!this.#canPaint) return;
    this.#ink.clearRect(0, 0, WIDTH, HEIGHT);
    [this.#stroke, this.#pending] = [null, []];
    this.#sendAll();
  }

  // -- painting ------------------------------------------------------------------------------------------------------

  #down(event) {
    if (!this.#canPaint) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#from = this.#pointOf(event);
    this.#paint(this.#from, this.#from);
  }

  #moved(event) {
    if (this.#from === null) return;
    const to = this.#pointOf(event);
    this.#paint(this.#from, to);
    this.#from = to;
  }

  #pressed(event) {
    if (!(event.key in KEYS || event.key === " ") || !this.#canPaint) return;
    event.preventDefault();
    const from = {...this.#hand};
    if (event.key === " ") this.#hand.isDown = !this.#hand.isDown;
    const [right, down] = KEYS[event.key] ?? [0, 0];
    this.#hand.x = Math.min(Math.max(from.x + right * STEP, 0), WIDTH);
    this.#hand.y = Math.min(Math.max(from.y + down * STEP, 0), HEIGHT);
    if (this.#hand.isDown) this.#paint(from, this.#hand);
    const style = element("pen").style;
    [style.left, style.top] = [`${(this.#hand.x / WIDTH) * 100}%`, `${(this.#hand.y / HEIGHT) * 100}%`];
  }

  #pointOf({offsetX, offsetY}) {
    return {x: (offsetX / this.#canvas.clientWidth) * WIDTH, y: (offsetY / this.#canvas.clientHeight) * HEIGHT};
  }

  #paint(from, to) {
    const colour = document.querySelector("[name=ink]:checked").value;
    const line = {from: {...from}, to: {...to}, colour, width: colour === "#ffffff" ? 24 : 4};
    this.#isBlank = false;
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
