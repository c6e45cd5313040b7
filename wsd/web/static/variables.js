// Variables of messages: {{now}} and others, filled in when a message is sent.

/** Each name with what it gives; `context` is {counter, message}. */
const VARIABLES = {
  now: () => new Date().toISOString(),
  timestamp: () => String(Date.now()),
  uuid: () => uuid(),
  counter: ({counter}) => String(counter),
  message: ({message}) => message,
};

const PATTERN = /(\\?)\{\{(\w+)\}\}/g;

/** A random UUID (RFC 9562 5.4). crypto.randomUUID() exists only on pages that came over https or from this machine. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function knows(name, context) {
  return Object.hasOwn(VARIABLES, name) && (name !== "message" || context.message !== undefined);
}

/**
 * The text with its variables filled in. Other names in braces stay as they are, and so does a name behind a backslash,
 * without the backslash.
 */
export function fill(text, context = {counter: 1}) {
  if (!text.includes("{{")) return text;
  return text.replace(PATTERN, (whole, escape, name) => {
    if (!knows(name, context)) return whole;
    return escape ? whole.slice(1) : VARIABLES[name](context);
  });
}

/** The variables that a text would have filled in, each once, as "{{now}}". */
export function variablesIn(text, context = {counter: 1}) {
  if (!text.includes("{{")) return [];
  const found = [...text.matchAll(PATTERN)].filter(([, escape, name]) => !escape && knows(name, context));
  return [...new Set(found.map(([whole]) => whole))];
}

/** JSON on several lines. Variables survive it, also those that stand outside of strings. */
export function tidy(text) {
  const kept = [];
  let first = 7_316_000_000_000_000; // numbers that stand for variables; they must not be in the text
  while (text.includes(String(first).slice(0, 8))) first += 1_000_000_000_000;
  const marked = text.replace(PATTERN, (whole) => String(first + kept.push(whole) - 1));
  const laidOut = JSON.stringify(JSON.parse(marked), null, 2);
  return kept.reduceRight((result, whole, index) => result.replaceAll(String(first + index), () => whole), laidOut);
}

/** The text with its variables escaped, so that fill() gives it back as it is. */
export function escapeVariables(text) {
  return text.replace(PATTERN, (whole, escape, name) => {
    const isVariable = Object.hasOwn(VARIABLES, name);
    return isVariable ? `\\${whole}` : whole;
  });
}
