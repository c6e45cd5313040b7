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
