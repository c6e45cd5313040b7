// The words of the game.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    field: "The field. Arrow keys or W, A, S and D move you, and the space bar dashes.",
    robot: "Robot", you: "You", own: "(you)",
    left: "Time left", rename: "Rename", dash: "Dash", cheat: "Try to cheat",
    people: "Players", score: "Crown (s)", ping: "Ping",
    keys: "Arrow keys or WASD to run, space to dash. On a touch screen, drag on the field.",
    cheating: "Cheating moves you to the crown in your own window only. The server does not allow the jump and puts you back.",
    corrected: "Positions corrected by the server: {number}.",
    watching: "All {number} places are taken. You are watching until one is free.",
    wins: "{name} wins this round. The next one begins in a moment.", draw: "Nobody wore the crown in this round.",
  },
  zh: {
    field: "场地。用方向键或 W、A、S、D 移动，按空格键冲刺。",
    robot: "机器人", you: "你", own: "（你）",
    left: "剩余时间", rename: "改名", dash: "冲刺", cheat: "试试作弊",
    people: "玩家", score: "戴冠秒数", ping: "延迟",
    keys: "方向键或 WASD 移动，空格键冲刺。触摸屏上请在场地中拖动。",
    cheating: "作弊只会在你自己的窗口里把你移到皇冠处。服务器不接受这次跳跃，会把你放回原位。",
    corrected: "服务器已纠正你的位置 {number} 次。",
    watching: "{number} 个位置已满。有空位之前，你可以观战。",
    wins: "{name} 赢得本轮。下一轮即将开始。", draw: "本轮没有人戴上皇冠。",
  },
});
