// The connection of a canvas: sends parts of the picture, and hears of frames, receipts and the number of people.

import {openSocket} from "/_wsd/why.js";

const AGAIN = 1000; // milliseconds from a lost connection to the next try

/**
 * One canvas at the server. It connects again when the connection is lost.
 *
 * `on` has the functions `state(name, reason, why)`, where the name is opening, open, lost, closed or refused, and `why`
 * what the daemon tells of a failed attempt; `frame(line, pixels)`; `receipt(line)` and `watching(number)`. `asked()` returns the width, height and role to ask for. A change is what was
 * sent: an object whose `frame` is set to the number of the frame that has all of it.
 */
export class Link {
  #socket = null;
  #sent = [];
  #announced = null;

  constructor(on, asked) {
    this.on = on;
    this.asked = asked;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    this.#socket?.close();
    this.#sent = [];
    this.on.state("opening");
    const url = new URL(location.pathname, location.href.replace(/^http/, "ws"));
    url.search = new URLSearchParams({...this.asked(), meta: "", watching: ""});
    const {socket: mine, why} = openSocket(url);
    this.#socket = mine;
    mine.binaryType = "arraybuffer";
    let wasOpen = false;
    mine.onopen = () => {
      wasOpen = true;
      if (mine === this.#socket) this.on.state("open");
    };
    mine.onmessage = ({data}) => {
      if (mine !== this.#socket) return;
      if (typeof data === "string") this.#hear(JSON.parse(data));
      else this.on.frame(this.#announced, data);
    };
    mine.onclose = async ({reason}) => {
      if (mine !== this.#socket) return;
      this.on.state(reason ? "refused" : wasOpen ? "lost" : "closed", reason);
      const told = reason || wasOpen ? null : await why();
      if (mine !== this.#socket) return;
      if (told) this.on.state("refused", "", told);
      setTimeout(() => mine === this.#socket && this.connect(), AGAIN);
    };
  }

  /** Sends boxes of the picture: for each a line that says where it lies, and its pixels. */
  send(change, boxes, pen) {
    for (const box of boxes) {
      this.#send(change, box, pen.getImageData(box.x, box.y, box.width, box.height));
    }
  }

  /** Sends the whole picture. */
  sendWhole(change, pen) {
    const {width, height} = pen.canvas;
    this.#send(change, {width, height}, pen.getImageData(0, 0, width, height));
  }

  #send(change, line, image) {
    change.waiting = (change.waiting ?? 0) + 1;
    this.#sent.push(change);
    this.#socket.send(JSON.stringify(line));
    this.#socket.send(image.data);
  }

  #hear(line) {
    if (line.error) this.on.state("refused", line.error.message);
    else if ("watching" in line) this.on.watching(line.watching);
    else if ("viewers" in line) this.#receipt(line);
    else this.#announced = line;
  }

  #receipt(line) {
    const change = this.#sent.shift();
    if (--change.waiting === 0) change.frame = line.frame;
    this.on.receipt(line);
  }
}
