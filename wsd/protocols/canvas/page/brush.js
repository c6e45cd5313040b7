// Draws with a brush or an eraser.

/** Lines of one brush, drawn between two pictures of the screen. */
export class Stroke {
  #brush;
  #lines = [];
  box = null; // the part of the picture it lies in

  /** The brush is `{colour, width, isEraser}`. */
  constructor(brush) {
    this.#brush = {...brush};
  }

  /** Draws a line, whose width is a multiple of the brush's. What it changes goes to the recorder. */
  add(pen, from, to, pressure, recorder) {
    const line = {from, to, width: this.#brush.width * pressure};
    const box = boxAround(line, pen.canvas);
    if (!box) return;
    this.#lines.push(line);
    const read = () => pen.getImageData(box.x, box.y, box.width, box.height);
    const before = read();
    this.#draw(pen, line);
    recorder.add(box, before, read());
    this.box = this.box ? union(this.box, box) : box;
  }

  /** Draws all its lines again. */
  draw(pen) {
    for (const line of this.#lines) this.#draw(pen, line);
  }

  #draw(pen, {from, to, width}) {
    pen.save();
    if (this.#brush.isEraser) pen.globalCompositeOperation = "destination-out";
    pen.strokeStyle = this.#brush.colour;
    pen.lineWidth = width;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
    pen.restore();
  }
}

/** The box of whole pixels around a line, null where it is outside of the canvas. */
function boxAround({from, to, width}, canvas) {
  const around = width / 2 + 1;
  const edges = (axis, most) => [
    Math.max(0, Math.floor(Math.min(from[axis], to[axis]) - around)),
    Math.min(most, Math.ceil(Math.max(from[axis], to[axis]) + around)),
  ];
  const [left, right] = edges(0, canvas.width);
  const [top, bottom] = edges(1, canvas.height);
  return left < right && top < bottom ? {x: left, y: top, width: right - left, height: bottom - top} : null;
}

function union(one, other) {
  const x = Math.min(one.x, other.x), y = Math.min(one.y, other.y);
  return {
    x, y,
    width: Math.max(one.x + one.width, other.x + other.width) - x,
    height: Math.max(one.y + one.height, other.y + other.height) - y,
  };
}
