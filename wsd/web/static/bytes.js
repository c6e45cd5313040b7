// Bytes for people: sizes, hexdumps, base64, and hex typed by hand. Pure functions, no page.

import {Wrong} from "./language.js";

const encoder = new TextEncoder();

/** The bytes of a text as UTF-8, which is how a text message travels. */
export function utf8(text) {
  return encoder.encode(text);
}

/** "512 B", "1.5 KiB", "31.2 MiB": a size with three digits or so. */
export function formatSize(size) {
  if (size < 1024) return `${size} B`;
  let value = size;
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 1023.95 && unit < 2);
  return `${value.toFixed(value < 100 ? 1 : 0).replace(/\.0$/, "")} ${["KiB", "MiB", "GiB"][unit]}`;
}

const pair = (byte) => byte.toString(16).padStart(2, "0");
const glyph = (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·");

/** "48 65 6c": the bytes as pairs of digits on one line. */
export function hexLine(bytes) {
  return Array.from(bytes, pair).join(" ");
}

/** The classic dump: offset, sixteen bytes, and what of them is printable ASCII. */
export function hexdump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const left = hexLine(row.subarray(0, 8)).padEnd(23);
    const right = hexLine(row.subarray(8)).padEnd(23);
    lines.push(`${at.toString(16).padStart(8, "0")}  ${left}  ${right}  ${Array.from(row, glyph).join("")}`);
  }
  return lines.join("\n");
}

/** Base64 of any number of bytes; in slices, as a call takes only so many arguments. */
export function base64(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 0x6000) {
    parts.push(btoa(String.fromCharCode(...bytes.subarray(at, at + 0x6000))));
  }
  return parts.join("");
}

/** The bytes of base64. Throws what atob() throws. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Bytes typed as hex: pairs with or without 0x, spaces, commas or colons between them. */
export function parseHex(text) {
  const found = [];
  for (const [word] of text.matchAll(/[^\s,:]+/g)) {
    const digits = word.replace(/^0x/i, "");
    const stranger = digits.match(/[^0-9a-f]/iu);
    if (stranger) throw new Wrong("hexStranger", {what: stranger[0]}, "hex");
    if (digits.length % 2 || !digits) throw new Wrong("hexOdd", {what: word}, "hex");
    for (let at = 0; at < digits.length; at += 2) found.push(parseInt(digits.slice(at, at + 2), 16));
  }
  return Uint8Array.from(found);
}
