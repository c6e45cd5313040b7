// Uploads the chosen file by blob.wsd.v1, on a connection of its own that resumes automatically.

import {formatSize} from "./bytes.js";
import {checkUrl} from "./checks.js";
import {say, Wrong} from "./language.js";
import {upload} from "./wsd-blob.js";

const PATIENCE = 60_000; // ms to try again without getting any further

const element = (id) => document.getElementById(id);

export class Keeper {
  #aborter = null;
  #noted = null; // [key, values]

  /** `chosen` gives the File or throws a Wrong, `wrong` shows one or none, `tell` logs an event {key, values}. */
  constructor(chosen, wrong, tell) {
    Object.assign(this, {chosen, wrong, tell});
    element("keep").addEventListener("click", () => this.#press());
    element("place").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // it would send the file as a message
      this.#press();
    });
    document.addEventListener("language", () => this.#draw());
  }

  /** Begins, or calls off what has begun. */
  #press() {
    if (this.#aborter) {
      this.#aborter.abort();
      return;
    }
    try {
      const file = this.chosen();
      const url = checkUrl(element("place").value, location.href);
      this.wrong(null);
      this.#keep(file, url);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      this.wrong(error.field ? new Wrong(error.key, error.values) : error);
    }
  }

  async #keep(file, url) {
    const {name} = file;
    this.#aborter = new AbortController();
    const {signal} = this.#aborter;
    this.#note("keeping", {name, kept: formatSize(0), size: formatSize(file.size)});
    try {
      const receipt = await upload(url, file, {
        signal,
        patience: PATIENCE,
        onprogress: ({acknowledged, size}) => {
          this.#note("keeping", {name, kept: formatSize(acknowledged), size: formatSize(size)});
        },
      });
      this.#end("eventKept", {name, url: receipt.url, sha256: receipt.sha256});
    } catch (error) {
      if (signal.aborted) this.#end("eventAbandoned", {name});
      else this.#end("eventNotKept", {name, why: error.message});
    }
  }

  #end(key, values) {
    this.#aborter = null;
    this.#note(key, values);
    this.tell({key, values});
  }

  #note(...noted) {
    this.#noted = noted;
    this.#draw();
  }

  #draw() {
    element("keep-note").textContent = this.#noted ? say(...this.#noted) : "";
    element("keep").textContent = say(this.#aborter ? "abandon" : "keep");
  }
}
