// The shapes of all countries, as two SVG paths: the land, and the borders on it.

import {feature, mesh} from "/uses/lib/world.js";

function pathOf({type, coordinates}) {
  const lines = {MultiPolygon: coordinates.flat(), MultiLineString: coordinates}[type];
  const line = (points) => points.map(([lon, lat]) => `${lon.toFixed(2)} ${(-lat).toFixed(2)}`).join("L");
  return lines.flatMap(bothSides).map((points) => `M${line(points)}`).join("");
}

/** Draws all countries into the paths #land and #borders. */
export async function drawAtlas() {
  // lesson: world
  const atlas = await (await fetch("/uses/lib/countries-110m.json")).json();
  const {land, countries} = atlas.objects;
  document.getElementById("land").setAttribute("d", pathOf(feature(atlas, land).features[0].geometry));
  const borders = mesh(atlas, countries, (one, other) => one !== other);
  document.getElementById("borders").setAttribute("d", pathOf(borders));
  // end of lesson
}

/** A line that crosses the 180th meridian goes on beyond it, and is drawn once more at the other side of the map. */
function bothSides(points) {
  let turns = 0;
  const whole = points.map(([lon, lat], index) => {
    const step = lon - (points[index - 1]?.[0] ?? lon);
    if (Math.abs(step) > 180) turns -= Math.sign(step);
    return [lon + 360 * turns, lat];
  });
  const beyond = whole.find(([lon]) => Math.abs(lon) > 180);
  return beyond ? [whole, whole.map(([lon, lat]) => [lon - 360 * Math.sign(beyond[0]), lat])] : [whole];
}
