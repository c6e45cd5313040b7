// The canvases that were opened in this browser, newest first: for servers that do not list theirs.

import {recall, remember} from "/_wsd/memory.js";

const KEY = "canvas.visits";
const MOST = 20;

export function visits() {
  try {
    const found = JSON.parse(recall(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
  } catch {
    return [];
  }
}

export function rememberVisit(name) {
  remember(KEY, JSON.stringify([name, ...visits().filter((each) => each !== name)].slice(0, MOST)));
}
