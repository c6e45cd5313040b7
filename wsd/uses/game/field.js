// Draws the field: pillars, players with their names, and the crown.

import {say} from "/_wsd/language.js";
import {disc, label, penOf, ring} from "/uses/shared/pixels.js";

const CROWN = new Path2D("M-15 0-19-20-8-11 0-25 8-11 19-20 15 0z"); // from the middle of its lower edge

/** A colour for each player, as far from the others' as can be. */
export function colourOf(id) {
  return `hsl(${(id * 137.508) % 360}deg 62% 52%)`;
}

/** Players are [id, x, y, rest]; the crown is an id, or [x, y]. */
export function drawField(canvas, {rules, players, own, crown, names}) {
  const {pen, pixel} = penOf(canvas, rules.width, rules.height);
  const {color, fontFamily} = getComputedStyle(canvas);
  const letter = 12.5 * pixel;
  pen.font = `600 ${letter}px ${fontFamily}`;
  pen.strokeStyle = pen.fillStyle = color;
  pen.globalAlpha = 0.16;
  for (const pillar of rules.pillars) disc(pen, ...pillar);
  pen.globalAlpha = 1;
  for (const [id, x, y, rest] of players) {
    if (rest > rules.rest - rules.dashing) ring(pen, x, y, rules.radius + 9, 2);
    pen.fillStyle = colourOf(id);
    disc(pen, x, y, rules.radius);
    pen.fillStyle = color;
    if (id === own) ring(pen, x, y, rules.radius, 3.5);
    const isLow = y + rules.radius + letter * 1.4 > rules.height; // the name would be cut
    const above = y - rules.radius - letter * 0.5 - (id === crown ? 22 : 0);
    const name = id === own ? say("you") : names.get(id) ?? "";
    label(pen, name, x, isLow ? above : y + rules.radius + letter * 1.2, rules.width);
  }
  const wearer = players.find(([id]) => id === crown);
  if (wearer) drawCrown(pen, wearer[1], wearer[2] - rules.radius + 2);
  else if (Array.isArray(crown)) drawCrown(pen, crown[0], crown[1] + 10);
}

function drawCrown(pen, x, y) {
  pen.translate(x, y);
  pen.fillStyle = "#f2b705";
  pen.fill(CROWN);
  pen.strokeStyle = "#7a5200";
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke(CROWN);
}
