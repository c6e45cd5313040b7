// Draws the field: pillars, players with their names, and the crown.

import {say} from "/_wsd/language.js";

/** A canvas in the field's own unit, sharp on every screen. */
export class Field {
  #canvas;
  #pen;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
  }

  /** Players are [id, x, y, rest]; the crown is an id, or [x, y]. */
  draw({rules, players, own, crown, names}) {
    const pen = this.#pen;
    const width = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    const scale = width / rules.width;
    if (this.#canvas.width !== width) {
      this.#canvas.width = width;
      this.#canvas.height = Math.round(rules.height * scale);
    }
    const {color} = getComputedStyle(this.#canvas);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, rules.width, rules.height);
    pen.fillStyle = color;
    pen.globalAlpha = 0.16;
    for (const [x, y, radius] of rules.pillars) disc(pen, x, y, radius);
    pen.globalAlpha = 1;
    const letter = (12.5 * devicePixelRatio) / scale;
    pen.font = `600 ${letter}px ${getComputedStyle(this.#canvas).fontFamily}`;
    pen.textAlign = "center";
    for (const [id, x, y, rest] of players) {
      if (rest > rules.rest - rules.dashing) ring(pen, x, y, rules.radius + 9, color, 2);
      pen.fillStyle = colourOf(id);
      disc(pen, x, y, rules.radius);
      if (id === own) ring(pen, x, y, rules.radius, color, 3.5);
      pen.fillStyle = color;
      const isLow = y + rules.radius + letter * 1.4 > rules.height; // the name would be cut
      const line = isLow ? y - rules.radius - letter * 0.5 - (id === crown ? 22 : 0) : y + rules.radius + letter * 1.2;
      const name = id === own ? say("you") : names.get(id) ?? "";
      const half = pen.measureText(name).width / 2 + 4;
      pen.fillText(name, Math.min(Math.max(x, half), rules.width - half), line);
    }
    const wearer = players.find(([id]) => id === crown);
    if (wearer) drawCrown(pen, wearer[1], wearer[2] - rules.radius + 2);
    else if (Array.isArray(crown)) drawCrown(pen, crown[0], crown[1] + 10);
  }
}

/** A colour for each player, as far from the others' as can be. */
export function colourOf(id) {
  return `hsl(${(id * 137.508) % 360}deg 62% 52%)`;
}

function disc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function ring(pen, x, y, radius, color, width) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.stroke();
}

/** The middle of its lower edge is at x and y. */
function drawCrown(pen, x, y) {
  pen.beginPath();
  for (const [right, up] of [[-15, 0], [-19, 20], [-8, 11], [0, 25], [8, 11], [19, 20], [15, 0]]) {
    pen.lineTo(x + right, y - up);
  }
  pen.closePath();
  pen.fillStyle = "#f2b705";
  pen.fill();
  pen.strokeStyle = "#7a5200";
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke();
}
