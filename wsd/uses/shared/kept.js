// What a tab keeps while it is open, reloads included: who its person is, for example.

const NAME = `wsd.uses.${document.body.dataset.use}`;

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME));
  } catch {
    return null;
  }
}

function write(values) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(values));
  } catch {
    // The browser keeps nothing for this page: after a reload, everything is as at first.
  }
}

/** An object that is kept whenever one of its properties is set. At first it has these values. */
export function kept(first) {
  const values = {...first, ...read()};
  write(values);
  return new Proxy(values, {
    set(target, property, value) {
      target[property] = value;
      write(target);
      return true;
    },
  });
}
