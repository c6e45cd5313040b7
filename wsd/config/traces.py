"""The keys of the table [traces]: where OpenTelemetry traces go, and which of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wsd.config import fields
from wsd.config.values import show

_PATH = "/v1/traces"
"""Where a collector takes traces by default (OTLP 1.9, OTLP/HTTP Request)."""


def _collector(text: str) -> str:
    """The URL of a collector; without a path, the standard one is added."""
    try:
        parts = urlsplit(text)
        isRight = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        isRight = False
    if not isRight or not text.isascii() or not text.isprintable() or not set(text).isdisjoint(" #@"):
        raise ValueError(
            f'{show(text)} is not the URL of a collector; write one such as "http://127.0.0.1:4318", with credentials '
            "in headers_file"
        )
    return text if parts.path.strip("/") or parts.query else f"{text.removesuffix('/')}{_PATH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """[traces]: OpenTelemetry traces of handshakes, HTTP requests, hooks and upstream calls."""

    enabled: bool = False
    """Whether they are made and exported."""
    endpoint: str | None = field(default=None, metadata={"each": _collector})
    """The URL of the collector for OTLP over HTTP; None for that of OTEL_EXPORTER_OTLP_ENDPOINT, else localhost."""
    headers_file: str | None = fields.path()
    """A file with header fields for the collector, such as a token: one `Name: value` a line."""
    service_name: str | None = None
    """The name of this service in traces; None for that of OTEL_SERVICE_NAME, else "wsd"."""
    sample: float | None = field(default=None, metadata={"unit": "share", "least": 0, "most": 1})
    """The share of traces that are made, of those that no caller has begun; None for OTEL_TRACES_SAMPLER, else all."""
    timeout: float | None = field(default=None, metadata={"unit": "seconds", "least": 0.1})
    """Seconds in which the collector must take a batch; None for OTEL_EXPORTER_OTLP_TIMEOUT, else 10."""
