// A button that records a voice message, and then stops and sends it.

import {addWords, say} from "/_wsd/language.js";
import {tell} from "./wrong.js";

const LONGEST = 120; // seconds of a voice message

addWords({
  en: {
    "voice.record": "Record a voice message", "voice.stop": "Stop and send ({seconds} s)", "voice.sending": "Sending",
    "voice.none": "No voice message was recorded: the browser does not allow this page to use a microphone.",
    "voice.notSent": "The voice message was not sent: {reason}",
  },
  zh: {
    "voice.record": "录制语音消息", "voice.stop": "停止并发送（{seconds} 秒）", "voice.sending": "正在发送",
    "voice.none": "未能录制语音消息：浏览器没有向本页提供麦克风。",
    "voice.notSent": "语音消息未能发送：{reason}",
  },
});

export class VoiceButton {
  #button;
  #send;
  #recorder = null; // while a message is recorded or sent
  #begun = 0; // when its recording began

  /** `send(sound, seconds)` gets a Blob, and returns a promise. */
  constructor(button, send) {
    this.#button = button;
    this.#send = send;
    button.addEventListener("click", () => (this.#recorder ? this.#recorder.stop() : this.#recordAndSend()));
    document.addEventListener("language", () => this.#draw());
    setInterval(() => this.#tick(), 500);
    this.#draw();
  }

  get #seconds() {
    return (Date.now() - this.#begun) / 1000;
  }

  async #recordAndSend() {
    tell(null);
    const sound = await this.#record().catch(() => tell("voice.none"));
    if (sound) {
      this.#button.disabled = true;
      const sending = this.#send(sound, Math.max(1, Math.round(this.#seconds)));
      this.#draw();
      await sending.catch((error) => tell("voice.notSent", {reason: error.message}));
      this.#button.disabled = false;
    }
    this.#recorder = null;
    this.#draw();
  }

  async #record() {
    const stream = await navigator.mediaDevices.getUserMedia({audio: true});
    const pieces = [];
    this.#recorder = new MediaRecorder(stream);
    this.#recorder.addEventListener("dataavailable", ({data}) => pieces.push(data));
    const stopped = new Promise((resolve) => this.#recorder.addEventListener("stop", resolve));
    this.#recorder.start();
    this.#begun = Date.now();
    this.#draw();
    await stopped;
    for (const track of stream.getTracks()) track.stop();
    return new Blob(pieces, {type: this.#recorder.mimeType});
  }

  get #isRecording() {
    return this.#recorder?.state === "recording";
  }

  #tick() {
    if (!this.#isRecording) return;
    this.#draw();
    if (this.#seconds > LONGEST) this.#recorder.stop();
  }

  #draw() {
    const seconds = Math.floor(this.#seconds);
    const idle = this.#recorder ? "voice.sending" : "voice.record";
    this.#button.textContent = this.#isRecording ? say("voice.stop", {seconds}) : say(idle);
    this.#button.setAttribute("aria-pressed", String(this.#isRecording));
  }
}
