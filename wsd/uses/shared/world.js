// A map of the world as an SVG, which can be moved and zoomed: by pointer, wheel, two fingers, and the buttons #closer
// and #farther.

import {drawAtlas} from "./atlas.js";
import {clamp} from "./geometry.js";

const LEFT = -180, TOP = -84, WIDTH = 360, HEIGHT = 144; // the whole view, in degrees; nobody lives below 60° S
const CLOSEST = 40; // how many times closer than the whole view
const SLOP = 4; // pixels that a click may move

/** The view. `onpick` and `ondrag` are called with {lon, lat}: of a click, and of the pin while it is dragged. */
export class World {
  onpick = () => {};
  ondrag = () => {};
  #svg;
  #view = {x: LEFT, y: TOP, zoom: 1}; // the corner in degrees, and how many times closer than the whole width
  #pointers = new Map(); // pointer id to {x, y} in pixels
  #home; // {lon, lat} of whoever looks
  #middle; // {lon, lat} in the middle
  #isWhole = true; // as much is shown as there is room for
  #start = null; // where the first pointer went down: {x, y, isPin, moved}

  /** @param {SVGElement} svg @param {{lon: number, lat: number}} home where the own pin is, which a narrow map shows */
  constructor(svg, home) {
    this.#svg = svg;
    this.#home = home;
    drawAtlas();
    svg.addEventListener("pointerdown", (event) => this.#down(event));
    svg.addEventListener("pointermove", (event) => this.#move(event));
    svg.addEventListener("pointerup", (event) => this.#up(event));
    svg.addEventListener("pointercancel", ({pointerId}) => this.#pointers.delete(pointerId));
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoom(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
    }, {passive: false});
    document.getElementById("closer").addEventListener("click", () => this.#zoomCentre(1.6));
    document.getElementById("farther").addEventListener("click", () => this.#zoomCentre(1 / 1.6));
    new ResizeObserver(() => this.#resized()).observe(svg);
  }

  /** Degrees a pixel. */
  get unit() {
    return this.#width / this.#svg.clientWidth;
  }

  get #width() {
    return WIDTH / this.#view.zoom;
  }

  get #height() {
    return this.#svg.clientHeight * this.unit;
  }

  /** The zoom at which the map fills its place: a telephone has less width for the same height. */
  get #farthest() {
    return Math.max(1, (WIDTH * this.#svg.clientHeight) / this.#svg.clientWidth / HEIGHT);
  }

  /** Where a position is in the SVG: longitude and latitude as they are (plate carrée), north up. */
  pointOf({lon, lat}) {
    return {x: lon, y: -lat};
  }

  #positionOf({clientX, clientY}) {
    const box = this.#svg.getBoundingClientRect();
    return {
      lon: this.#view.x + (clientX - box.left) * this.unit,
      lat: -(this.#view.y + (clientY - box.top) * this.unit),
    };
  }

  #down(event) {
    this.#svg.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    if (this.#pointers.size === 1) {
      const isPin = Boolean(event.target.closest(".mine"));
      this.#start = {x: event.clientX, y: event.clientY, isPin, moved: false};
    }
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = {x: event.clientX, y: event.clientY};
    this.#start.moved ||= Math.hypot(now.x - this.#start.x, now.y - this.#start.y) > SLOP;
    if (!this.#start.moved) return;
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (other) {
      const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
      this.#zoom(distance(now) / distance(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else if (this.#start.isPin) this.ondrag(this.#positionOf(event));
    else this.#pan(before.x - now.x, before.y - now.y);
  }

  #up(event) {
    if (this.#pointers.size === 1 && !this.#start.moved && !this.#start.isPin) this.onpick(this.#positionOf(event));
    this.#pointers.delete(event.pointerId);
  }

  /** The map has its size, or another one since the window was changed or the telephone turned. */
  #resized() {
    const {lon, lat} = this.#isWhole ? this.#home : this.#middle;
    if (this.#isWhole) this.#view.zoom = this.#farthest;
    this.#view.x = lon - this.#width / 2;
    this.#view.y = -lat - this.#height / 2;
    this.#apply();
  }

  #pan(x, y) {
    this.#view.x += x * this.unit;
    this.#view.y += y * this.unit;
    this.#apply();
  }

  #zoomCentre(factor) {
    const box = this.#svg.getBoundingClientRect();
    this.#zoom(factor, box.left + box.width / 2, box.top + box.height / 2);
  }

  /** Zooms, and what is at that place of the window stays there. */
  #zoom(factor, clientX, clientY) {
    const {lon, lat} = this.#positionOf({clientX, clientY});
    this.#view.zoom = clamp(this.#view.zoom * factor, this.#farthest, CLOSEST);
    const now = this.#positionOf({clientX, clientY});
    this.#view.x += lon - now.lon;
    this.#view.y += now.lat - lat;
    this.#apply();
  }

  #apply() {
    this.#view.zoom = Math.max(this.#farthest, this.#view.zoom);
    this.#view.x = clamp(this.#view.x, LEFT, LEFT + WIDTH - this.#width);
    this.#view.y = clamp(this.#view.y, TOP, TOP + HEIGHT - this.#height);
    this.#middle = {lon: this.#view.x + this.#width / 2, lat: -this.#view.y - this.#height / 2};
    this.#isWhole = this.#view.zoom <= this.#farthest;
    this.#svg.setAttribute("viewBox", `${this.#view.x} ${this.#view.y} ${this.#width} ${this.#height}`);
    this.#svg.style.setProperty("--unit", this.unit);
  }
}
