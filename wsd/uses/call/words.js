// The words of the page of the video call.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    call: "Call", join: "Join", alone: "Nobody is in this call yet.",
    there: "In this call: {names}", mute: "Mute", unmute: "Unmute", cameraOff: "Camera off", cameraOn: "Camera on",
    screen: "Share screen", stopScreen: "Stop sharing", leave: "Leave", you: "You", connecting: "connecting",
    muted: "muted", noCamera: "no camera", sharing: "sharing the screen",
    video: "Video of {name}", chat: "Messages", text: "Message", send: "Send",
    voiceOf: "Voice message from {name}, {seconds} s",
    full: "Four people are already in this call. Try again when someone has left.",
    denied: "Without a camera and a microphone, you can see and hear the others, and they can read your messages. To be "
      + "seen and heard, allow both in the browser's settings, and join again.",
    insecure: "Browsers allow a camera and a microphone only on pages loaded by https or from this machine.",
  },
  zh: {
    call: "通话", join: "加入", alone: "通话中还没有人。",
    there: "通话中：{names}", mute: "静音", unmute: "取消静音", cameraOff: "关闭摄像头", cameraOn: "打开摄像头",
    screen: "共享屏幕", stopScreen: "停止共享", leave: "离开", you: "你", connecting: "正在连接",
    muted: "已静音", noCamera: "无画面", sharing: "正在共享屏幕",
    video: "{name} 的视频", chat: "消息", text: "消息", send: "发送",
    voiceOf: "{name} 的语音消息，{seconds} 秒",
    full: "通话中已有四人，请等有人离开后再试。",
    denied: "没有摄像头和麦克风时，你仍能看到和听到其他人，他们也能看到你的消息。想要出现在通话中，请在浏览器设置中允许使用，然后重新加入。",
    insecure: "浏览器只向通过 https 打开或来自本机的页面提供摄像头和麦克风。",
  },
});
