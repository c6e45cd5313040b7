"""The words of error pages: what happened, and what the visitor can do, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ErrorWords(NamedTuple):
    """A heading and a paragraph."""

    happened: str
    remedy: str


ENGLISH: Mapping[int, ErrorWords] = {
    400: ErrorWords(
        "The request is not valid", "Check the address. If you followed a link, tell the owner of that page."
    ),
    401: ErrorWords("You need to log in", "Reload the page and enter your name and password."),
    403: ErrorWords(
        "You do not have access to this", "The server does not allow it from here. Ask its administrator for access."
    ),
    404: ErrorWords("There is nothing at this address", "Check the spelling, or see what this server offers."),
    405: ErrorWords(
        "This method is not supported here", "This address is for programs that send other kinds of requests."
    ),
    408: ErrorWords("The request took too long", "Check your connection, then try again."),
    413: ErrorWords("The request is too large", "The server limits the size of what it accepts. Send less at a time."),
    421: ErrorWords(
        "This server does not know that name",
        "Open it by a name that it serves, such as localhost. Its administrator can add more names.",
    ),
    426: ErrorWords(
        "This address is for WebSockets",
        "A browser cannot show it as a page. Open it in the console, where you can send and receive messages.",
    ),
    429: ErrorWords("Too many requests", "Wait a moment, then try again."),
    431: ErrorWords("The request head is too large", "Delete the cookies of this site, or use a shorter address."),
    500: ErrorWords(
        "Something went wrong on the server", "Try again later. The administrator can find the cause in the log."
    ),
    501: ErrorWords(
        "The server cannot do this",
        "It does not support this kind of request, or lacks a library that is needed for it.",
    ),
    503: ErrorWords("The server is not available right now", "Wait a moment, then try again."),
}

CHINESE: Mapping[int, ErrorWords] = {
    400: ErrorWords("请求无效", "请检查地址是否正确。如果是从链接进入的，请告知该页面的所有者。"),
    401: ErrorWords("需要登录", "请刷新页面，输入用户名和密码。"),
    403: ErrorWords("没有访问权限", "服务器不允许从这里访问。如需访问，请联系管理员。"),
    404: ErrorWords("页面不存在", "请检查地址是否有误，或查看本服务器提供的内容。"),
    405: ErrorWords("不支持这种访问方式", "此地址供程序使用，需要发送其他类型的请求。"),
    408: ErrorWords("请求超时", "请检查网络连接后重试。"),
    413: ErrorWords("内容过大", "超出了服务器允许的大小，请减少单次发送的内容。"),
    421: ErrorWords("服务器不认识这个域名", "请使用服务器支持的名称访问，例如 localhost。管理员可以添加其他名称。"),
    426: ErrorWords("这是 WebSocket 地址", "浏览器无法将它显示为网页。请在控制台中打开，以收发消息。"),
    429: ErrorWords("请求过于频繁", "请稍等片刻再试。"),
    431: ErrorWords("请求头过大", "请清除本站的 Cookie，或使用较短的地址。"),
    500: ErrorWords("服务器出错了", "请稍后再试。管理员可以在日志中找到原因。"),
    501: ErrorWords("服务器不支持此操作", "服务器不支持这种类型的请求，或缺少所需的库。"),
    503: ErrorWords("服务器暂时不可用", "请稍等片刻再试。"),
}


def wordsFor(status: int) -> tuple[ErrorWords, ErrorWords]:
    """Returns the words for a status in English and Chinese; an unlisted one has those of 400 or 500."""
    known = status if status in ENGLISH else 500 if status >= 500 else 400
    return ENGLISH[known], CHINESE[known]
