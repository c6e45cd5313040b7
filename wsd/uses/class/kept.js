// What this tab keeps while it is open, reloads included: the secret that says who we are, and the name.

const NAME = "wsd.uses.class";
const secret = Array.from(crypto.getRandomValues(new Uint8Array(20)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const values = {secret, name: "", ...read()};

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME));
  } catch {
    return null;
  }
}

function write() {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(values));
  } catch {
    // The browser keeps nothing for this page: after a reload we are someone else.
  }
}

export const kept = {
  get secret() {
    return values.secret;
  },
  get name() {
    return values.name;
  },
  set name(name) {
    values.name = name;
    write();
  },
};

write();
