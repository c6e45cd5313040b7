// Who this window is. Each window is another person, so that two of them can follow each other; a reload changes nothing.

function recall() {
  const kept = JSON.parse(sessionStorage.getItem("feed.me") ?? "null");
  if (kept) return kept;
  const [id, number] = crypto.getRandomValues(new Uint32Array(2));
  return {id: id.toString(36), name: "", number: 100 + number % 900};
}

export const me = recall();

export function remember() {
  sessionStorage.setItem("feed.me", JSON.stringify(me));
}

remember();
