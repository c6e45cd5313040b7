"""
Errors as pages: a person at a browser reads what happened, what to do, and gets a link back.

Programs get the same refusal as one sentence of plain text. Both kinds of answers come from here.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from string import Template
from typing import NamedTuple
from urllib.parse import urlencode

from wsd.head import Head, Refused
from wsd.policies.address import Peer
from wsd.resources import PAGE_POLICY, prefersChinese, prefersHtml
from wsd.web.errorwords import ErrorWords, wordsFor

_PAGE = Template("""\
<!doctype html>
<html lang="$lang">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="referrer" content="no-referrer">
  <title>$status $phrase</title>
  <link rel="icon" href="/_wsd/icon.svg" type="image/svg+xml">
  <script src="/_wsd/theme.js"></script>
  <style>$style</style>
  <link rel="stylesheet" href="/_wsd/base.css">
  <link rel="stylesheet" href="/_wsd/header.css">
  <link rel="stylesheet" href="/_wsd/error.css">
  <script type="module" src="/_wsd/header.js"></script>
</head>
<body>
  <header id="site-header"></header>
  <main class="page error">
    <p class="status" lang="en">$status $phrase</p>
$english$chinese  </main>
</body>
</html>
""")

_STYLE = (
    "html:lang(en) .words:lang(zh), html:lang(zh) .words:lang(en) { display: none; } "
    "body { margin: 0; font: 14px/1.45 system-ui, sans-serif; } "
    "main { max-width: 640px; margin: 0 auto; padding: 64px 16px; }"
)
"""The page is readable without its other files, which are refused as well under a foreign name or while we stop."""

_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY = PAGE_POLICY.replace("style-src 'self'", f"style-src 'self' 'sha256-{_STYLE_HASH}'")

_SECTION = Template("""\
    <section class="words" lang="$lang">
      <h1>$happened</h1>
      <p>$remedy</p>
      <p class="links">$links</p>
      <p class="quiet">$label<q lang="en">$sentence</q></p>
      <p class="quiet">$idLabel <code>$id</code></p>
    </section>
""")

_CONSOLE = 426
_FOREIGN = 421
"""Under a name that is not served, the home page is refused as well."""
_AGAIN = (408, 429, 503)
"""Statuses after which the same request may succeed."""


class ErrorAnswer(NamedTuple):
    """The content of an answer to a refused request, and the header fields that belong to it."""

    content: bytes
    fields: tuple[tuple[str, str], ...]


def answerTo(refused: Refused, head: Head | None, peer: Peer | None, hasConsole: bool, requestId: str) -> ErrorAnswer:
    """
    Returns a page if the client prefers one, else one sentence of text. `head` is None if none was read.

    Both have the request's id, with which the log tells more.
    """
    named = ("X-Request-Id", requestId)
    if head is None or not prefersHtml(head):
        return ErrorAnswer(f"{refused.sentence}\n".encode(), (("Content-Type", "text/plain; charset=utf-8"), named))
    fields = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", _POLICY),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept, Accept-Language"),
        named,
    )
    return ErrorAnswer(_page(refused, head, peer, hasConsole, requestId).encode(), fields)


def _page(refused: Refused, head: Head, peer: Peer | None, hasConsole: bool, requestId: str) -> str:
    """The page has both languages: theme.js shows the one that the visitor has chosen, before the first paint."""
    english, chinese = wordsFor(refused.status)
    console = _consoleUrl(head, peer) if hasConsole and refused.status == _CONSOLE else None
    isTransient = refused.status in _AGAIN
    hasHome = hasConsole and refused.status != _FOREIGN
    linksEn = _links(console, isTransient, hasHome, ("Open in the console", "Try again", "Home page"))
    linksZh = _links(console, isTransient, hasHome, ("在控制台中打开", "重试", "返回首页"))
    return _PAGE.substitute(
        lang="zh-CN" if prefersChinese(head) else "en",
        status=refused.status,
        phrase=escape(refused.phrase),
        style=_STYLE,
        english=_section("en", english, linksEn, ("The server says: ", "Request ID"), refused.sentence, requestId),
        chinese=_section("zh-CN", chinese, linksZh, ("服务器的说明：", "请求 ID"), refused.sentence, requestId),
    )


def _section(lang: str, words: ErrorWords, links: str, labels: tuple[str, str], sentence: str, requestId: str) -> str:
    return _SECTION.substitute(
        lang=lang,
        happened=escape(words.happened),
        remedy=escape(words.remedy),
        links=links,
        label=labels[0],
        sentence=escape(sentence),
        idLabel=labels[1],
        id=requestId,
    )


def _links(console: str | None, isTransient: bool, hasHome: bool, texts: tuple[str, str, str]) -> str:
    """Links as HTML, the most useful one first."""
    links = []
    if console is not None:
        links.append((console, texts[0]))
    if isTransient:
        links.append(("", texts[1]))
    if hasHome:
        links.append(("/", texts[2]))
    return " ".join(f'<a class="button" href="{escape(url)}">{text}</a>' for url, text in links)


def _consoleUrl(head: Head, peer: Peer | None) -> str:
    """The console's address with the URL of a WebSocket, which it fills in without connecting."""
    scheme = "wss" if peer is not None and peer.secure else "ws"
    query = f"?{head.query}" if head.query else ""
    return f"/?{urlencode({'url': f'{scheme}://{head.host}{head.path}{query}'})}"
