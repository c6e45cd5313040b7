// The window with the links to a canvas.

const element = (id) => document.getElementById(id);
const COPIED = 2000; // milliseconds for which a button says that it has copied

/** Fills the window. `canPng` tells whether the server can make a picture. */
export function prepareShare(canPng) {
  const own = new URL(location.href);
  own.hash = "";
  own.searchParams.delete("role");
  const watch = new URL(own);
  watch.searchParams.set("role", "viewer");
  const png = new URL(`${own.pathname}.png`, own);
  for (const [id, url] of [["link-paint", own], ["link-watch", watch], ["link-png", png]]) element(id).value = url.href;
  element("png").hidden = !canPng;
  element("no-png").hidden = canPng;
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  element("local").hidden = !isLocal;
  element("everyone").hidden = isLocal;
}

/** Lets the buttons of the window copy. A page that is not from this machine or https: has no clipboard. */
export function listenForCopies(say) {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const field = element(button.dataset.copy);
      field.select();
      const isCopied = await copy(field.value);
      const told = element("copied");
      told.textContent = say(isCopied ? "copied" : "copyYourself");
      if (!isCopied) return;
      button.textContent = say("copied");
      setTimeout(() => {
        button.textContent = say("copy");
        told.textContent = "";
      }, COPIED);
    });
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return document.execCommand("copy"); // copies what is selected, without the permission that a clipboard needs
  }
}
