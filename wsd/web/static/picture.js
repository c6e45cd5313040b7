// 400 by 320 pixels of four bytes each, as getImageData gives them: what the canvas sends and the log shows.

export const WIDTH = 400;
export const HEIGHT = 320;
export const PICTURE_BYTES = WIDTH * HEIGHT * 4;

/** A canvas that shows the bytes as pixels: red, green, blue and alpha, line by line. */
export function picture(bytes) {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pixels = new Uint8ClampedArray(bytes);
  canvas.getContext("2d").putImageData(new ImageData(pixels, WIDTH, HEIGHT), 0, 0);
  return canvas;
}
