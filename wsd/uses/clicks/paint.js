// Paints the heat over the page.

const REACH = 22; // pixels around an event that it warms

/** Paints, on a canvas that lies over the page, the cells of each part where that part is. */
export function paintHeat(canvas, page, heat, cells) {
  const place = page.getBoundingClientRect();
  [canvas.width, canvas.height] = [Math.max(1, place.width), Math.max(1, place.height)];
  const most = Math.max(1, ...[...heat.values()].map((each) => Math.max(...each)));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const blob = blobOf();
  for (const [part, warmth] of heat) {
    const box = page.querySelector(`[data-part="${CSS.escape(part)}"]`)?.getBoundingClientRect();
    if (!box) continue;
    for (const [index, value] of warmth.entries()) {
      if (!value) continue;
      const x = box.left - place.left + (((index % cells) + 0.5) / cells) * box.width;
      const y = box.top - place.top + ((Math.floor(index / cells) + 0.5) / cells) * box.height;
      context.globalAlpha = 0.12 + 0.88 * Math.sqrt(value / most);
      context.drawImage(blob, x - REACH, y - REACH);
    }
  }
  colour(context, canvas.width, canvas.height);
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
    data[at] = 255 * Math.min(1, Math.max(0, 2.4 * heat - 0.7));
    data[at + 1] = 255 * Math.min(1, Math.max(0, 1.15 - Math.abs(heat - 0.5) * 2.4));
    data[at + 2] = 255 * Math.min(1, Math.max(0, 1.3 - 3 * heat));
    data[at + 3] = 255 * Math.min(0.8, 0.15 + heat);
  }
  context.putImageData(image, 0, 0);
}
