// The words of the page of positions.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    map: "Map of the world", zoom: "Zoom", closer: "Zoom in", farther: "Zoom out", you: "You",
    follow: "Follow my location", hint: "Drag the pin, click the map, or move the pin with the arrow keys.",
    people: "On the map", pin: "{name}, your pin. Move it with the arrow keys.",
    now: "now", ago: "{seconds} s ago",
    denied: "The browser does not allow this page to read your location. Allow it in the browser's settings, or drag the pin.",
    nowhere: "The browser could not find your location. Drag the pin instead.",
    insecure: "Browsers report a location only to pages loaded by https. Drag the pin instead.",
    full: "This map is full. Try again when someone has left.",
  },
  zh: {
    map: "世界地图", zoom: "缩放", closer: "放大", farther: "缩小", you: "你",
    follow: "跟随我的位置", hint: "拖动图钉、点击地图，或用方向键移动图钉。",
    people: "在地图上", pin: "{name}，你的图钉。用方向键移动。",
    now: "刚刚", ago: "{seconds} 秒前",
    denied: "浏览器没有向本页提供你的位置。请在浏览器设置中允许，或拖动图钉。",
    nowhere: "浏览器无法确定你的位置，请拖动图钉。",
    insecure: "浏览器只向通过 https 打开的页面提供位置，请拖动图钉。",
    full: "地图上已没有空位，请等有人离开后再试。",
  },
});
