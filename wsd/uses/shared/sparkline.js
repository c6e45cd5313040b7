// A sparkline: the last numbers of a series as a small line, without axes.

const MARGIN = 4; // pixels above and below the line

/**
 * Draws numbers on a canvas, the newest at the right end. `points` is how many its whole width has. Without a `base`,
 * the least of the numbers is at the bottom.
 */
export function drawSparkline(canvas, numbers, points, colour, base = null) {
  const {width, height} = canvas;
  const context = canvas.getContext("2d");
  const least = base ?? Math.min(...numbers);
  const most = Math.max(...numbers);
  const level = base === null ? 0.5 : 1; // where the line is if all numbers are the same
  context.clearRect(0, 0, width, height);
  context.strokeStyle = colour;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.beginPath();
  for (const [index, number] of numbers.entries()) {
    const y = most === least ? level : (most - number) / (most - least);
    context.lineTo((index / (points - 1)) * width, MARGIN + y * (height - 2 * MARGIN));
  }
  context.stroke();
}
