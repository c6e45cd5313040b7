// What this tab remembers of its player: the name, and a key that gives the score back after a lost connection.

const key = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => String(byte).padStart(3, "0")).join("");
let kept = {name: "", key};

try {
  kept = {...kept, ...JSON.parse(sessionStorage.getItem("wsd.uses.game"))};
} catch {
  // The browser keeps nothing for this page: the player is a new one each time.
}

export function remembered(field) {
  return kept[field];
}

export function remember(field, value) {
  kept[field] = value;
  try {
    sessionStorage.setItem("wsd.uses.game", JSON.stringify(kept));
  } catch {
    // As above.
  }
}

remember("key", kept.key);
