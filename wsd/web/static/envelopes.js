// The text messages of topics.wsd.v1: read for the log, and templates of them to send.

export const TOPICS = "topics.wsd.v1";
const MOST = 65_536; // characters that are read of a message

/** What to begin with, by name; docs/topics.md has all fields. */
export const TEMPLATES = {
  subscribe: {id: 1, topic: "quotes/ACME", history: 10, presence: true},
  publish: {id: 2, topic: "quotes/ACME", data: {price: 17.5}, echo: true},
  enter: {id: 3, topic: "quotes/ACME", state: {name: "Ann"}},
  members: {id: 4, topic: "quotes/ACME"},
  direct: {id: 5, topic: "quotes/ACME", to: "", text: "Hello"},
  leave: {id: 6, topic: "quotes/ACME"},
  unsubscribe: {id: 7, topic: "quotes/ACME"},
};

/** The template of that name as text. */
export function template(name) {
  return laidOut({[name]: TEMPLATES[name]});
}

export function laidOut(value) {
  return JSON.stringify(value, null, 2);
}

/** The envelope in a row of the log, as an object with one key; null when there is none. */
export function readEnvelope({protocol, opcode, payload}) {
  if (protocol !== TOPICS || opcode !== "text" || payload.length > MOST) return null;
  try {
    const envelope = JSON.parse(payload);
    const fields = Object.values(envelope);
    return fields.length === 1 && fields[0] instanceof Object ? envelope : null;
  } catch {
    return null;
  }
}

/** The parts of an envelope in a line: its name, topic and payload, and its other fields as `rest`. */
export function partsOf(envelope) {
  const [[name, {topic, data, text, ...others}]] = Object.entries(envelope);
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const rest = Object.entries(others).map(([key, value]) => `${key}=${shown(value)}`).join("  ");
  return {name, topic, payload: data === undefined ? text : JSON.stringify(data), rest};
}
