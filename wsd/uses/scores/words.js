// The words of the page of live scores.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    byWebSocket: "By WebSocket", bySse: "By server-sent events", home: "Home", away: "Away",
    homeGoal: "Goal for Home", awayGoal: "Goal for Away", nothing: "Nothing has happened yet.",
    since: "{seconds} s since the newest message. It took {delay} ms to arrive.",
    sinceOnly: "{seconds} s since the newest message.",
    desk: "The desk", take: "Take the desk", leave: "Leave the desk", free: "Nobody sits at the desk.",
    taken: "Someone else sits at the desk.", mine: "You sit at the desk.", start: "Start the clock",
    stop: "Stop the clock", newMatch: "New match", event: "Event", example: "Corner for Home", publish: "Publish",
  },
  zh: {
    byWebSocket: "通过 WebSocket", bySse: "通过服务器推送事件（SSE）", home: "主队", away: "客队",
    homeGoal: "主队进球", awayGoal: "客队进球", nothing: "还没有任何消息。",
    since: "最新消息发布于 {seconds} 秒前，传输用时 {delay} 毫秒。",
    sinceOnly: "最新消息发布于 {seconds} 秒前。",
    desk: "记分席", take: "坐上记分席", leave: "离开记分席", free: "记分席空着。",
    taken: "记分席已有人。", mine: "你在记分席上。", start: "开始计时",
    stop: "停止计时", newMatch: "新比赛", event: "事件", example: "主队角球", publish: "发布",
  },
});
