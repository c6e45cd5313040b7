// A voice message: recorded by the browser, stored as a file, and played by the others.

import {say} from "/_wsd/language.js";
import {upload} from "/_wsd/wsd-blob.js";
import {at} from "/uses/shared/frame.js";
import {tell} from "/uses/shared/wrong.js";

const LONGEST = 120; // seconds of a voice message
const button = document.getElementById("voice");
let recorder = null; // while a message is recorded or sent
let begun = 0; // when its recording began

async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true});
  const pieces = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", ({data}) => pieces.push(data));
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
  recorder.start();
  begun = Date.now();
  draw();
  await stopped;
  for (const track of stream.getTracks()) track.stop();
  return new Blob(pieces, {type: recorder.mimeType});
}

// lesson: voice
async function send(sound, topics, room, name) {
  const seconds = Math.max(1, Math.round((Date.now() - begun) / 1000));
  const {url} = await upload(at("/blob"), sound, {name: "voice message"});
  await topics.publish(room, {name, voice: url, seconds}, {echo: true});
}
// end of lesson

async function recordAndSend(topics, room, name) {
  tell(null);
  let sound = null;
  try {
    sound = await record();
    button.disabled = true;
    draw();
    await send(sound, topics, room, name);
  } catch (error) {
    if (sound) tell("notSent", {reason: error.message});
    else tell("noVoice");
  }
  recorder = null;
  button.disabled = false;
  draw();
}

/** Begins the button that records, and then stops and sends. */
export function beginVoice(topics, room, nameOf) {
  button.addEventListener("click", () => {
    if (recorder) recorder.stop();
    else recordAndSend(topics, room, nameOf());
  });
  document.addEventListener("language", draw);
  setInterval(() => {
    if (recorder?.state !== "recording") return;
    draw();
    if (Date.now() - begun > LONGEST * 1000) recorder.stop();
  }, 500);
}

function draw() {
  const isRecording = recorder?.state === "recording";
  const seconds = Math.floor((Date.now() - begun) / 1000);
  button.textContent = isRecording ? say("stop", {seconds}) : say(recorder ? "sending" : "voice");
  button.setAttribute("aria-pressed", String(isRecording));
}
