// A connection in the address of the page: ?url=, ?protocols= and ?send=. It is only ever filled in.

/** The address of this page with these fields. */
export function shareLink(fields) {
  const link = new URL("/", location.href);
  for (const [name, value] of Object.entries(fields)) if (value) link.searchParams.set(name, value);
  return link.href;
}

/** The fields of a form that an address of this page has, or null. `#ws://...` is a URL as well. */
export function sharedForm(address = location) {
  const asked = new URLSearchParams(address.search);
  const url = asked.get("url") ?? fromHash(address);
  const protocols = asked.get("protocols") ?? "";
  const send = asked.get("send");
  if (!url && !protocols && send === null) return null;
  return {...(url && {url}), protocols, ...(send !== null && messageOf(send))};
}

function fromHash(address) {
  const named = address.hash.slice(1);
  if (!/^(\w+:|\/)/.test(named)) return ""; // a place on the page, such as #log
  try {
    return decodeURIComponent(named);
  } catch {
    return named; // a stray % that is no escape
  }
}

function messageOf(send) {
  return /^\s*[[{]/.test(send) ? {tab: "json", json: send} : {tab: "text", text: send};
}

/** Whether the page was reloaded: then what its address asked for is among what was kept. */
export function isReload() {
  return performance.getEntriesByType("navigation")[0]?.type === "reload";
}
