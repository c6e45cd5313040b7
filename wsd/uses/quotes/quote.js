// One symbol: its row with the price, the change and a sparkline of the last half minute.

import {create} from "/_wsd/element.js";
import {drawSparkline} from "/uses/shared/sparkline.js";

const EVERY = 500; // milliseconds between two points of the sparkline
const POINTS = 60;

export class Quote {
  points = []; // prices, a point for each half second
  next = 0; // when the next point is due

  constructor(symbol) {
    this.symbol = symbol;
    this.price = create("span", {className: "price"});
    this.change = create("span", {className: "change"});
    this.line = create("canvas", {width: 192, height: 48}); // twice its size in the row, so that it is sharp
    this.line.setAttribute("aria-hidden", "true");
    this.row = create("li", {}, create("span", {className: "symbol", textContent: symbol}), this.line, this.price,
      this.change);
    this.row.dataset.symbol = symbol;
  }

  take(price, at) {
    this.newest = price;
    if (at < this.next) {
      this.points[this.points.length - 1] = price;
      return;
    }
    this.next = at + EVERY;
    this.points.push(price);
    if (this.points.length > POINTS) this.points.shift();
  }

  draw(colours) {
    const first = this.points[0];
    const change = ((this.newest - first) / first) * 100;
    this.price.textContent = this.newest.toFixed(2);
    this.change.textContent = `${change < -0.005 ? "\u2212" : "+"}${Math.abs(change).toFixed(2)}%`;
    this.row.className = change < -0.005 ? "down" : "up";
    drawSparkline(this.line, this.points, POINTS, colours[this.row.className]);
  }
}
