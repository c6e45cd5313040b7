// The words of the page of quotes.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    state: "State", lag: "Lag", published: "Published", received: "Received", shown: "Shown",
    milliseconds: "{count} ms", perSecond: "{count} a second", slow: "Slow this page down", slow0: "Not at all",
    slow80: "Busy 80% of the time", slow98: "Busy 98% of the time", market: "Market",
    filter: "Symbols that begin with", none: "No symbol begins with that.",
  },
  zh: {
    state: "状态", lag: "延迟", published: "已发布", received: "已收到", shown: "已显示",
    milliseconds: "{count} 毫秒", perSecond: "每秒 {count} 次", slow: "让本页变慢", slow0: "不变慢",
    slow80: "80% 的时间繁忙", slow98: "98% 的时间繁忙", market: "市场",
    filter: "按代码开头筛选", none: "没有以此开头的代码。",
  },
});
