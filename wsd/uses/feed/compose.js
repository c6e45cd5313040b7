// Writing a post, with a picture.

import {say} from "/_wsd/language.js";
import {me} from "./me.js";

const element = (id) => document.getElementById(id);
let chosen = null; // the picture: {file, width, height}

let note = []; // the words about its progress, and their values

function show(...words) {
  note = words;
  element("progress").textContent = note.length ? say(...note) : "";
  element("progress").classList.toggle("wrong", ["failed", "noPicture"].includes(note[0]));
}

async function choose([file]) {
  if (!file) return;
  forget();
  try {
    // The size is part of the post, so that its place is there before the picture is.
    const bitmap = await createImageBitmap(file);
    chosen = {file, width: bitmap.width, height: bitmap.height};
    bitmap.close();
  } catch {
    show("noPicture", {name: file.name});
    return;
  }
  element("preview").querySelector("img").src = URL.createObjectURL(file);
  element("preview").hidden = false;
  element("alt").focus();
}

function forget() {
  URL.revokeObjectURL(element("preview").querySelector("img").src);
  element("preview").hidden = true;
  element("alt").value = element("file").value = "";
  chosen = null;
  show();
}

/** What the form holds, to be posted; null if that is nothing. */
function content() {
  const name = element("name").value.trim() || say("guest", {number: me.number});
  const text = element("text").value.trim();
  if (!text && !chosen) return null;
  if (!chosen) return {name, text};
  const {file, width, height} = chosen;
  return {name, text, file, picture: {width, height, alt: element("alt").value.trim()}};
}

/** Let `post(content, onprogress)` have what is written. */
export function beginCompose(post) {
  async function submit() {
    const written = content();
    if (!written) {
      element("text").focus();
      return;
    }
    const text = element("text").value;
    element("text").value = "";
    forget();
    show("posting");
    try {
      await post(written, ({acknowledged, size}) => show("uploading", {share: Math.floor(100 * acknowledged / size)}));
      show();
    } catch (error) {
      element("text").value ||= text;
      show("failed", {reason: error.message});
    }
  }

  element("compose").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  element("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("compose").requestSubmit();
  });
  element("picture").addEventListener("click", () => element("file").click());
  element("file").addEventListener("change", () => choose(element("file").files));
  element("text").addEventListener("paste", ({clipboardData}) => choose(clipboardData.files));
  element("remove").addEventListener("click", () => {
    forget();
    element("picture").focus();
  });
  element("name").value = me.name;
  element("name").addEventListener("input", () => {
    me.name = element("name").value;
  });
  document.addEventListener("language", () => show(...note));
}
