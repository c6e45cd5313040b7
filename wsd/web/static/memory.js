// Choices that outlive the page, where the browser lets us keep any: storage may be refused, and then nothing is kept.

export function recall(name) {
  try {
    return localStorage.getItem(`wsd.${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`wsd.${name}`, value);
  } catch {
    // A private window or a blocked site: the choice lasts as long as the page.
  }
}

/** What this window kept itself, else what the last one kept: two windows side by side do not mix. */
export function recallHere(name) {
  try {
    return sessionStorage.getItem(`wsd.${name}`) ?? recall(name);
  } catch {
    return null;
  }
}

export function rememberHere(name, value) {
  remember(name, value);
  try {
    sessionStorage.setItem(`wsd.${name}`, value);
  } catch {
    // As above.
  }
}

/** A list that was remembered as JSON; empty if there is none. */
export function recallList(name) {
  try {
    const list = JSON.parse(recall(name));
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

export function rememberList(name, list) {
  remember(name, JSON.stringify(list));
}
