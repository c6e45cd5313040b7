// One symbol: its row with the price, the change and a sparkline of the last minute.

import {create} from "/_wsd/element.js";

const EVERY = 500; // milliseconds between two points of the sparkline
const POINTS = 60;
const WIDTH = 96;
const HEIGHT = 24;

export class Quote {
  points = []; // prices, a point for each half second
  next = 0; // when the next point is due

  constructor(symbol) {
    this.symbol = symbol;
    this.price = create("span", {className: "price"});
    this.change = create("span", {className: "change"});
    this.line = create("canvas", {width: WIDTH * 2, height: HEIGHT * 2});
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
    this.drawLine(colours[this.row.className]);
  }

  drawLine(colour) {
    const context = this.line.getContext("2d");
    const [low, high] = [Math.min(...this.points), Math.max(...this.points)];
    context.clearRect(0, 0, this.line.width, this.line.height);
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.beginPath();
    for (const [index, price] of this.points.entries()) {
      const y = high === low ? 0.5 : (high - price) / (high - low);
      context.lineTo((index / (POINTS - 1)) * this.line.width, 4 + y * (this.line.height - 8));
    }
    context.stroke();
  }
}
