// The messages beside the call: text, and voice messages.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {upload} from "/_wsd/wsd-blob.js";
import {sendText} from "/uses/shared/compose.js";
import {at} from "/uses/shared/frame.js";
import {appendRow} from "/uses/shared/list.js";
import {nameOf} from "/uses/shared/person.js";
import {VoiceButton} from "/uses/shared/voice.js";

const element = (id) => document.getElementById(id);

/** Begins the chat of a room. Returns what takes a message of its topic. */
export function beginChat(topics, room, me) {
  // lesson: voice
  async function sendVoice(sound, seconds) {
    const {url} = await upload(at("/blob"), sound, {name: "voice message"});
    await topics.publish(room, {name: nameOf(me), voice: url, seconds}, {echo: true});
  }
  // end of lesson

  sendText(element("say"), element("text"), (text) => topics.publish(room, {name: nameOf(me), text}, {echo: true}));
  new VoiceButton(element("voice"), sendVoice);
  return ({payload}) => show(Object(payload)); // anyone can publish anything
}

function show({name, text, voice, seconds}) {
  const row = create("li", {}, create("b", {textContent: String(name).slice(0, 40)}), " ");
  if (/^\/blob\/\w+$/.test(voice)) {
    // With crossOrigin it also plays where the page comes from another server than the file.
    const player = create("audio", {crossOrigin: "anonymous", controls: true, preload: "metadata", src: at(voice)});
    player.setAttribute("aria-label", say("voiceOf", {name, seconds: formatNumber(seconds)}));
    row.append(player);
  } else row.append(create("span", {textContent: String(text)}));
  appendRow(element("messages"), row);
}
