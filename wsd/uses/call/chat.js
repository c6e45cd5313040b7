// The messages beside the call: text, and voice messages.

import {create} from "/_wsd/element.js";
import {formatNumber, say} from "/_wsd/language.js";
import {at} from "/uses/shared/frame.js";
import {beginVoice} from "./voice.js";

const element = (id) => document.getElementById(id);

/** Begins the chat of a room. Returns what takes a message of its topic. */
export function beginChat(topics, room, me) {
  const nameOf = () => me.name || element("name").value.trim() || say("guest", {number: me.id.slice(-3)});
  element("say").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = element("text").value.trim();
    if (!text) return;
    element("text").value = "";
    topics.publish(room, {name: nameOf(), text}, {echo: true});
  });
  beginVoice(topics, room, nameOf);
  return ({payload}) => show(payload);
}

function show({name, text, voice, seconds}) {
  const list = element("messages");
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const line = create("li", {}, create("b", {textContent: String(name).slice(0, 40)}), " ");
  if (/^\/blob\/\w+$/.test(voice)) {
    // With crossOrigin it also plays where the page comes from another server than the file.
    const player = create("audio", {crossOrigin: "anonymous", controls: true, preload: "metadata", src: at(voice)});
    player.setAttribute("aria-label", say("voiceOf", {name, seconds: formatNumber(seconds)}));
    line.append(player);
  } else line.append(create("span", {textContent: String(text)}));
  list.append(line);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}
