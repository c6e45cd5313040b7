// Reads the maps /uses/lib/land-110m.json and countries-110m.json: import {feature, mesh} from "/uses/lib/world.js";

export {feature, mesh} from "topojson-client";
