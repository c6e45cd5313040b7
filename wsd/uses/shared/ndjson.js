// Reads NDJSON: one JSON value per line.

/** The values at a URL; none while the server is away. */
// lesson: lines
export async function linesOf(url) {
  const answer = await fetch(url, {headers: {Accept: "application/x-ndjson"}}).catch(() => null);
  const text = answer?.ok ? await answer.text().catch(() => "") : "";
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}
// end of lesson
