// The words of the class.

import {addWords, say} from "/_wsd/language.js";

addWords({
  en: {
    teacher: "Teacher", pupil: "Pupil {number}", badge: "teacher",
    youTeach: "You are the teacher. Whoever opens the link of this page is a pupil.",
    youLearn: "You are a pupil. The teacher turns the slides and starts polls.",
    slides: "Slides", slideLabel: "The slide that the teacher shows",
    board: "Whiteboard", boardLabel: "The whiteboard. When you have the pen, the arrow keys move it, and the space bar puts it down or lifts it.",
    youPaint: "Paint with the mouse, a finger, or the keyboard.", youWatch: "You are watching. The teacher can give you the pen.",
    penIsYours: "You have the pen for two minutes.",
    inkLegend: "Ink", black: "Black", red: "Red", blue: "Blue", green: "Green", eraser: "Eraser", clear: "Clear",
    people: "People", here: "Pupils: {number}. The teacher is here.", without: "Pupils: {number}. The teacher is not here.",
    raise: "Raise your hand", lower: "Lower your hand", lowerFor: "Lower hand", handUp: "hand raised",
    givePen: "Give the pen", hasPen: "Has the pen",
    poll: "Poll", sampleQuestion: "Which one is full duplex?",
    sampleChoices: "WebSocket\nServer-sent events\nLong polling",
    chat: "Chat", message: "Message", send: "Send", silent: "Nobody has written anything yet.",
    sample: "WebSocket in four slides\nA connection that stays open, on which both sides may speak at any time.\n---\n"
      + "How it begins\nWith a GET request that asks for an upgrade.\nThe answer is 101 Switching Protocols.\n---\n"
      + "What is sent\nMessages of text or bytes, in frames with a header of 2 to 14 bytes.\n---\n"
      + "How it ends\nWith a close frame from either side, which has a code and a reason.",
  },
  zh: {
    teacher: "老师", pupil: "学生 {number}", badge: "老师",
    youTeach: "你是老师。打开本页链接的人都是学生。",
    youLearn: "你是学生。翻页和投票由老师控制。",
    slides: "幻灯片", slideLabel: "老师正在展示的幻灯片",
    board: "白板", boardLabel: "白板。拿到画笔后，用方向键移动画笔，按空格键落笔或抬笔。",
    youPaint: "用鼠标、手指或键盘作画。", youWatch: "你正在观看。老师可以把画笔交给你。",
    penIsYours: "画笔交给你两分钟。",
    inkLegend: "颜色", black: "黑", red: "红", blue: "蓝", green: "绿", eraser: "橡皮", clear: "清空",
    people: "成员", here: "老师和 {number} 名学生", without: "{number} 名学生，老师不在",
    raise: "举手", lower: "放下手", lowerFor: "请放下手", handUp: "已举手",
    givePen: "给画笔", hasPen: "正在用画笔",
    poll: "投票", sampleQuestion: "哪一种是全双工？",
    sampleChoices: "WebSocket\n服务器推送事件\n长轮询",
    chat: "聊天", message: "消息", send: "发送", silent: "还没有人发言。",
    sample: "四页了解 WebSocket\n一条保持打开的连接，双方随时都能发送消息。\n---\n"
      + "如何开始\n用一个请求升级的 GET 请求。\n响应是 101 Switching Protocols。\n---\n"
      + "发送什么\n文本或字节消息，装在帧里，帧头为 2 到 14 个字节。\n---\n"
      + "如何结束\n任何一方发送关闭帧，其中有代码和原因。",
  },
});

/** The name to show for a user: the given one, or in everyone's own language what that user is. */
export function nameFor(user, room, name) {
  if (name) return String(name);
  return user === room ? say("teacher") : say("pupil", {number: parseInt(user.slice(0, 6), 16) % 100});
}
