// What this daemon serves, as it tells this visitor at /_wsd/routes.json: {pages: [{name, path}], routes: [...]}.

const KEY = "wsd.site";

let loading = null;

/** The answer of an earlier page of this tab, or null. It is drawn at once, until the new one has arrived. */
export function cachedSite() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

/** Asks the daemon, once for each page. Returns what was cached if it does not answer. */
export function loadSite() {
  loading ??= fetch("/_wsd/routes.json").then((answer) => answer.ok ? answer.json() : cachedSite()).then((site) => {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(site));
    } catch {
      // Storage is refused here: the next page starts with an empty header.
    }
    return site;
  }, cachedSite);
  return loading;
}
