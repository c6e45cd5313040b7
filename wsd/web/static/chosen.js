// The file to send: chosen, or dropped anywhere on the page.

import {announce} from "./announce.js";
import {formatSize} from "./bytes.js";
import {say, Wrong} from "./language.js";

const element = (id) => document.getElementById(id);

export class Chosen {
  #file = null;

  /** `dropped` is called when a file was dropped. */
  constructor(dropped) {
    element("file").addEventListener("change", ({target}) => this.#take(target.files[0] ?? null));
    this.#receiveDrops(dropped);
    document.addEventListener("language", () => this.#note());
  }

  /** The File. Throws a Wrong if there is none. */
  get() {
    if (!this.#file) throw new Wrong("fileMissing");
    return this.#file;
  }

  #take(file) {
    this.#file = file;
    this.#note();
    if (file) announce(element("file-note").textContent);
  }

  #note() {
    const file = this.#file;
    element("file-note").textContent = file
      ? say("fileNote", {name: file.name, size: formatSize(file.size)}) : say("fileNone");
  }

  /** A file dropped anywhere is taken, for a missed target would make the browser leave the page. */
  #receiveDrops(dropped) {
    const carriesFile = (event) => event.dataTransfer.types.includes("Files");
    window.addEventListener("dragover", (event) => {
      if (!carriesFile(event)) return;
      event.preventDefault();
      document.body.classList.add("dragging");
    });
    window.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dragging");
    });
    window.addEventListener("drop", (event) => {
      document.body.classList.remove("dragging");
      if (!carriesFile(event)) return;
      event.preventDefault();
      element("file").value = "";
      dropped();
      this.#take(event.dataTransfer.files[0]);
    });
  }
}
