// A canvas that the server keeps, on the page: lines that are drawn here are sent, and those of others are shown.

import {Socket} from "./socket.js";
import {throttled} from "./throttle.js";

const PART = 60; // ms between two parts of the picture that are sent

/** A line is {from, to, colour, width} in pixels of the canvas. */
export class SharedCanvas {
  #ink;
  #socket;
  #line = {}; // what the server said of the picture that follows
  #sent = []; // changes of ours whose receipt has not come: {lines}, and then also the `frame` that has them
  #pending = []; // changes of ours that the picture from the server may not have
  #stroke = []; // lines since the last part was sent
  #flushSoon = throttled(() => this.#flush(), PART);

  /**
   * `open` makes a WebSocket for a route of the protocol `canvas`, with `meta` in its query. `onchange` is called when
   * it is opened or lost.
   */
  constructor(canvas, {open, onchange}) {
    this.#ink = canvas.getContext("2d", {willReadFrequently: true});
    this.#socket = new Socket({
      open,
      onopen: () => {
        this.#begin();
        onchange();
      },
      onmessage: (data) => (typeof data === "string" ? this.#heard(JSON.parse(data)) : this.#show(data)),
      onclose: onchange,
    });
  }

  get isOpen() {
    return this.#socket.isOpen;
  }

  reconnect() {
    this.#socket.reconnect();
  }

  /** Draws a line, and sends it soon. */
  draw(line) {
    this.#paint(line);
    this.#stroke.push(line);
    this.#flushSoon();
  }

  clear() {
    const {width, height} = this.#ink.canvas;
    this.#ink.clearRect(0, 0, width, height);
    [this.#stroke, this.#pending] = [[], []];
    this.#send({x: 0, y: 0, width, height}, {lines: []});
  }

  /** The connection is open: the server sends its picture, unless nobody has painted. */
  #begin() {
    [this.#sent, this.#pending] = [[], []];
    this.#ink.clearRect(0, 0, this.#ink.canvas.width, this.#ink.canvas.height);
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
    for (const line of [...this.#pending.flatMap(({lines}) => lines), ...this.#stroke]) this.#paint(line);
  }

  #paint({from, to, colour, width}) {
    this.#ink.strokeStyle = colour;
    this.#ink.lineWidth = width;
    this.#ink.lineCap = "round";
    this.#ink.beginPath();
    this.#ink.moveTo(from.x, from.y);
    this.#ink.lineTo(to.x, to.y);
    this.#ink.stroke();
  }

  #flush() {
    const lines = this.#stroke;
    this.#stroke = [];
    if (!lines.length || !this.isOpen) return;
    const box = boxOf(lines, this.#ink.canvas);
    if (box.width > 0 && box.height > 0) this.#send(box, {lines});
  }

  /** Sends a part of the picture: a line that says where it is, and then its pixels. */
  #send(box, change) {
    // lesson: board
    this.#socket.sendJson(box);
    this.#socket.send(this.#ink.getImageData(box.x, box.y, box.width, box.height).data);
    // end of lesson
    this.#sent.push(change);
    this.#pending.push(change);
  }
}

/** The smallest rectangle of a canvas that has all of these lines. */
function boxOf(lines, canvas) {
  const edge = Math.max(...lines.map(({width}) => width)) / 2 + 1;
  const bound = (key, most) => {
    const values = lines.flatMap(({from, to}) => [from[key], to[key]]);
    const low = Math.max(0, Math.floor(Math.min(...values) - edge));
    return [low, Math.min(most, Math.ceil(Math.max(...values) + edge)) - low];
  };
  const [[x, width], [y, height]] = [bound("x", canvas.width), bound("y", canvas.height)];
  return {x, y, width, height};
}
