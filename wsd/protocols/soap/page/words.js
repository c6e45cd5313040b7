// What the page of a service says.

export const WORDS = {
  en: {
    contract: "Contract (WSDL):", forWebSocket: "for WebSocket", forHttp: "for HTTP",
    operations: "Operations", filter: "Filter operations", request: "Request", envelope: "Envelope", send: "Send",
    curl: "Copy as curl", copied: "Copied", cannotCopy: "Cannot copy", reset: "Reset", answers: "Answers", clear: "Clear", copy: "Copy",
    none: "Choose an operation and send it. The answer appears here.",
    takes: "takes", gives: "returns", faults: "fault", call: "call", oneway: "one-way", push: "pushed",
    pushedAbout: "The server sends this message on its own. It appears among the answers.",
    connecting: "Connecting…", waiting: "Sent. Waiting for the answer…", sentOneway: "Sent. A one-way message has no answer.",
    lost: "The connection was lost.", closed: "The server closed the connection: {reason}",
    refused: "The service cannot be reached.",
    answer: "Answer", fault: "Fault", pushed: "Pushed", after: "after {time} ms",
    code: "Code", reason: "Reason", detail: "Detail", labelled: "{kind}: {name}",
  },
  zh: {
    contract: "服务契约（WSDL）：", forWebSocket: "WebSocket 版", forHttp: "HTTP 版",
    operations: "操作", filter: "筛选操作", request: "请求", envelope: "信封（Envelope）", send: "发送",
    curl: "复制为 curl", copied: "已复制", cannotCopy: "无法复制", reset: "重置", answers: "应答", clear: "清空", copy: "复制",
    none: "选择一个操作并发送，应答会显示在这里。",
    takes: "参数", gives: "返回", faults: "错误", call: "调用", oneway: "单向", push: "推送",
    pushedAbout: "此消息由服务器主动推送，会显示在应答中。",
    connecting: "正在连接…", waiting: "已发送，正在等待应答…", sentOneway: "已发送。单向消息没有应答。",
    lost: "连接已断开。", closed: "服务器已关闭连接：{reason}",
    refused: "无法连接到该服务。",
    answer: "应答", fault: "错误", pushed: "推送", after: "{time} 毫秒后",
    code: "代码", reason: "原因", detail: "详情", labelled: "{kind}：{name}",
  },
};
