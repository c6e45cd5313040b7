// Sizes, times and errors in words.

import {has, say} from "/_wsd/language.js";

const most = Number(document.body.dataset.most);

export function sizeOf(bytes) {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  const power = Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const number = bytes / 1024 ** power;
  return `${Number.isInteger(number) ? number : number.toFixed(1)} ${"KMGT"[power - 1]}iB`;
}

export function timeOf(seconds) {
  return seconds < 100 ? say("seconds", {number: Math.ceil(seconds)}) : say("minutes", {number: Math.ceil(seconds / 60)});
}

/** A sentence about an error: ours where there is one for its code, else the server's. */
export function sentenceOf(error) {
  if (error instanceof DOMException) return say("error.unreadable");
  if (!error.code) return say("error.lost");
  return has(`error.${error.code}`) ? say(`error.${error.code}`, {most: sizeOf(most)}) : `${error.message}.`;
}
