// A canvas that is sharp on every screen, with a unit of its own.

import {clamp} from "./geometry.js";

/** An empty canvas, so many units wide and high. Returns its 2D context, and how many units a pixel of CSS has. */
export function penOf(canvas, width, height) {
  const pixels = Math.round(canvas.clientWidth * devicePixelRatio);
  const scale = pixels / width;
  if (canvas.width !== pixels) [canvas.width, canvas.height] = [pixels, Math.round(height * scale)];
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return {pen, pixel: devicePixelRatio / scale};
}

export function disc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

export function ring(pen, x, y, radius, width) {
  pen.lineWidth = width;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.stroke();
}

/** Writes a text whose middle is at x, but nothing of it beyond the edges of a canvas of that width. */
export function label(pen, text, x, y, width) {
  const half = pen.measureText(text).width / 2 + 4;
  pen.textAlign = "center";
  pen.fillText(text, clamp(x, half, width - half), y);
}
