// Points and discs in a plane.

/** The value, or the limit that it is beyond. */
export function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/** Moves a point out of a disc, [x, y, radius], to its edge. */
export function moveOut(point, [x, y, radius]) {
  const away = Math.hypot(point.x - x, point.y - y);
  if (away === 0 || away >= radius) return;
  point.x = x + ((point.x - x) / away) * radius;
  point.y = y + ((point.y - y) / away) * radius;
}
