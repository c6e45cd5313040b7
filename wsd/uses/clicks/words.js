// The words of the page of the click stream.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    numbers: "Numbers", mode: "Mode", record: "Record", watch: "Watch", recorded: "Recorded",
    acknowledged: "Acknowledged", waiting: "Waiting", rate: "Events per second", total: "Events", visitors: "Visitors",
    sample: "Sample shop", heat: "Heat map of the sample shop", top: "Most clicked", none: "Nobody has clicked yet.",
    clicks: "{count} clicks", click: "1 click", read: "Read the history",
    readMore: "NDJSON, one batch per line. It contains every acknowledged event.", copy: "Copy", copied: "Copied",
    lost: "A batch was not acknowledged within five minutes and is no longer sent.",
    shop: "Tea and Tools", teas: "Teas", tools: "Tools", basket: "Basket", hero: "The first harvest is here.",
    heroMore: "Picked in March, dried in the sun, on its way to you tomorrow.", order: "Order now", pot: "A teapot",
    product1: "Green needle", product2: "Red cliff", product3: "White peony",
    add1: "Add Green needle", add2: "Add Red cliff", add3: "Add White peony",
    story: "We have bought from the same four gardens for thirty years. Every tin names the garden and the day of the "
      + "harvest, and every tool is made by someone we know.",
    footHours: "Open from Tuesday to Saturday, 10 to 18", letter: "Get our newsletter",
  },
  zh: {
    numbers: "统计", mode: "模式", record: "记录", watch: "观看", recorded: "已记录",
    acknowledged: "已确认", waiting: "等待中", rate: "每秒事件", total: "事件", visitors: "访问者",
    sample: "示例商店", heat: "示例商店的热力图", top: "点击最多", none: "还没有人点击。",
    clicks: "{count} 次点击", click: "1 次点击", read: "读取历史",
    readMore: "NDJSON 格式，每行一批，包含所有已确认的事件。", copy: "复制", copied: "已复制",
    lost: "有一批事件在五分钟内未获确认，不再发送。",
    shop: "茶与器", teas: "茶叶", tools: "茶具", basket: "购物车", hero: "头采新茶已到。",
    heroMore: "三月采摘，自然晒干，明日发货。", order: "立即订购", pot: "茶壶",
    product1: "绿针", product2: "红岩", product3: "白牡丹",
    add1: "加入绿针", add2: "加入红岩", add3: "加入白牡丹",
    story: "三十年来，我们只从四座茶园采购。每一罐都注明茶园和采摘日期，每一件茶具都出自我们熟识的匠人之手。",
    footHours: "周二至周六 10:00–18:00 营业", letter: "订阅通讯",
  },
});
