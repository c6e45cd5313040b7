// A heat map: where on the parts of a page something happened most.

import {clamp} from "./geometry.js";

const CELLS = 20; // of a part, in each direction
const REACH = 22; // pixels around an event that it warms

/** The heat of each part. A part is an element with the attribute data-part. */
export class Heat {
  #parts = new Map(); // part to its cells, so that the memory stays the same however many events come

  /** Adds an event at a place of a part: x and y are shares of its width and height. */
  add(part, x, y, weight) {
    if (!this.#parts.has(part)) this.#parts.set(part, new Float32Array(CELLS * CELLS));
    const [column, row] = [x, y].map((share) => Math.min(CELLS - 1, Math.floor(share * CELLS)));
    this.#parts.get(part)[row * CELLS + column] += weight;
  }

  /** Paints the cells of each part where that part is now, on a canvas that lies over the page. */
  paint(canvas, page) {
    const place = page.getBoundingClientRect();
    [canvas.width, canvas.height] = [Math.max(1, place.width), Math.max(1, place.height)];
    const context = canvas.getContext("2d", {willReadFrequently: true});
    const most = Math.max(1, ...[...this.#parts.values()].map((cells) => Math.max(...cells)));
    const blob = blobOf();
    for (const [part, cells] of this.#parts) {
      const box = page.querySelector(`[data-part="${CSS.escape(part)}"]`)?.getBoundingClientRect();
      if (!box) continue;
      for (const [index, value] of cells.entries()) {
        if (!value) continue;
        const x = box.left - place.left + (((index % CELLS) + 0.5) / CELLS) * box.width;
        const y = box.top - place.top + ((Math.floor(index / CELLS) + 0.5) / CELLS) * box.height;
        context.globalAlpha = 0.12 + 0.88 * Math.sqrt(value / most);
        context.drawImage(blob, x - REACH, y - REACH);
      }
    }
    colour(context, canvas.width, canvas.height);
  }
}

/** A round blob, which is opaque in its middle. */
function blobOf() {
  const blob = new OffscreenCanvas(2 * REACH, 2 * REACH);
  const context = blob.getContext("2d");
  const gradient = context.createRadialGradient(REACH, REACH, 0, REACH, REACH, REACH);
  gradient.addColorStop(0, "rgb(0 0 0 / 0.7)");
  gradient.addColorStop(1, "rgb(0 0 0 / 0)");
  context.fillStyle = gradient;
  context.fillRect(0, 0, 2 * REACH, 2 * REACH);
  return blob;
}

/** Turns opacity into colours: blue is cold, red is hot. */
function colour(context, width, height) {
  const image = context.getImageData(0, 0, width, height);
  const {data} = image;
  for (let at = 0; at < data.length; at += 4) {
    const heat = data[at + 3] / 255;
    if (!heat) continue;
    data[at] = 255 * clamp(2.4 * heat - 0.7, 0, 1);
    data[at + 1] = 255 * clamp(1.15 - Math.abs(heat - 0.5) * 2.4, 0, 1);
    data[at + 2] = 255 * clamp(1.3 - 3 * heat, 0, 1);
    data[at + 3] = 255 * Math.min(0.8, 0.15 + heat);
  }
  context.putImageData(image, 0, 0);
}
