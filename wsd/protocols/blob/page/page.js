// The page of a store: uploads files that are chosen, dropped or pasted, and shows what is stored.

import {addWords, say} from "/_wsd/language.js";
import {addStored, drawStored, loadStored} from "./stored.js";
import {sizeOf} from "./texts.js";
import {add, translateUploads} from "./uploads.js";
import {WORDS} from "./words.js";

const {route, most} = document.body.dataset;
const element = (id) => document.getElementById(id);
const way = () => document.querySelector("input[name=way]:checked").value;

function send(files) {
  for (const file of files) add(file, way(), route, addStored);
}

/** Files of the clipboard, such as a screenshot; else its text as a file. */
function pasted(data) {
  const files = [...data.files];
  const text = data.getData("text/plain");
  if (files.length || !text) return files;
  const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  return [new File([text], `${say("pasted")}-${time}.txt`, {type: "text/plain"})];
}

function explain() {
  element("about").textContent = say("about", {most: sizeOf(Number(most))});
  element("way-means").textContent = say(`means.${way()}`);
}

addWords(WORDS);
element("file").addEventListener("change", ({target}) => {
  send([...target.files]);
  target.value = "";
});
for (const radio of document.querySelectorAll("input[name=way]")) radio.addEventListener("change", explain);
// A file may be dropped anywhere: a browser would leave the page for one that misses the panel.
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") send(event.dataTransfer.files);
  });
}
document.addEventListener("paste", ({clipboardData}) => send(pasted(clipboardData)));
document.addEventListener("language", () => {
  explain();
  drawStored();
  translateUploads();
});
explain();
loadStored();
