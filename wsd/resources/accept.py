"""What a client prefers to be answered with: Accept, Accept-Encoding and Accept-Language (RFC 9110 12.5)."""

from __future__ import annotations

from collections.abc import Iterator

from wsd.head import Head

HTML = "text/html"

_NAVIGATIONS = ("GET", "HEAD")
"""The methods of requests for pages. Some SOAP clients name text/html when they POST."""

_RIVALS = ("text/plain", "application/json", "text/event-stream")
"""What programs ask for by name, and are answered with."""


def prefersHtml(head: Head) -> bool:
    """
    Returns whether the answer is for a person at a browser, who reads a page.

    A browser names text/html when it opens a page. A program that accepts anything (*/*) does not, and neither does a
    request of a page's script, unless it asks for it. An opening handshake is never answered with a page.
    """
    accept = head.headers.byName.get("accept", "")
    if HTML not in accept.lower() or head.method not in _NAVIGATIONS or head.isUpgrade:
        return False
    weights = dict(reversed(list(_weights(accept))))
    quality = weights.get(HTML, 0.0)
    rivals = (weights.get(name, 0.0) for name in _RIVALS)
    return quality > 0 and all(quality >= rival for rival in rivals)


def prefersChinese(head: Head) -> bool:
    """Returns whether a Chinese text is preferred to an English one."""
    weights: dict[str, float] = {}
    for tag, quality in _weights(head.headers.byName.get("accept-language", "")):
        language = tag.partition("-")[0]
        weights[language] = max(quality, weights.get(language, 0.0))
    return weights.get("zh", 0.0) > weights.get("en", 0.0)


def codingWeight(head: Head, coding: str) -> float:
    """Returns how much a content coding is preferred, 0 for one that is not accepted (RFC 9110 12.5.3)."""
    weights = dict(_weights(head.headers.byName.get("accept-encoding", "")))
    return weights.get(coding, weights.get("*", 0.0))


def _weights(value: str) -> Iterator[tuple[str, float]]:
    """The elements of a list with their weights (RFC 9110 12.4.2). A malformed weight counts as 0."""
    for element in value.lower().split(","):
        name, *parameters = (part.strip(" \t") for part in element.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, number = parameter.partition("=")
            if key.strip() == "q":
                quality = _quality(number.strip())
        yield name, quality


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0) if text and set(text) <= set("0123456789.") else 0.0
    except ValueError:
        return 0.0
