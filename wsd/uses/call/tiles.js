// Draws the call: a tile for each person, and the buttons.

import {create} from "/_wsd/element.js";
import {say} from "/_wsd/language.js";

const element = (id) => document.getElementById(id);
const tileOf = (id) => document.querySelector(`#tiles [data-id="${CSS.escape(id)}"]`);

/** A person as their tile shows them: their state, and their `stream` or the `peer` that receives it. */
export function drawTile({id, name, isMuted, isDark, isSharing, stream, peer, isMe = false}) {
  const tile = tileOf(id) ?? madeOf(id, isMe);
  const video = tile.querySelector("video");
  const shown = stream ?? peer.stream;
  if (video.srcObject !== shown) video.srcObject = shown;
  const isConnecting = !isMe && !peer.isConnected;
  const notes = [
    isConnecting && say("connecting"), isMuted && say("muted"), isSharing && say("sharing"),
    isDark && !isSharing && say("noCamera"),
  ];
  tile.querySelector(".who").textContent = [isMe ? say("you") : name, ...notes.filter(Boolean)].join(" · ");
  video.setAttribute("aria-label", say("video", {name}));
  tile.classList.toggle("dark", isDark && !isSharing);
  tile.classList.toggle("mirrored", isMe && !isSharing);
  tile.dataset.initial = [...name][0] ?? "?";
}

function madeOf(id, isMe) {
  const video = create("video", {autoplay: true, playsInline: true, muted: isMe});
  const tile = create("div", {className: "tile"}, video, create("p", {className: "who"}));
  tile.dataset.id = id;
  element("tiles").append(tile);
  return tile;
}

export function removeTile(id) {
  tileOf(id)?.remove();
}

/** The buttons as they are now: each says what it would do. */
export function drawControls({isMuted, isDark, isSharing}, isIn) {
  element("join").hidden = isIn;
  element("tiles").hidden = element("controls").hidden = !isIn;
  for (const [id, isOn, words] of [
    ["mute", isMuted, ["mute", "unmute"]],
    ["camera", isDark, ["cameraOff", "cameraOn"]],
    ["screen", isSharing, ["screen", "stopScreen"]],
  ]) {
    element(id).dataset.say = words[Number(isOn)];
    element(id).textContent = say(words[Number(isOn)]);
    element(id).setAttribute("aria-pressed", String(isOn));
  }
}
