"""
Encodings: what the bytes of messages are, chosen by the content type, once for each WebSocket or HTTP request.

- `encoding`: the interface, and UTF-8; `choice`: which encoding a content type means
- `charsets`: UTF-16, ISO-8859-1, Windows-1252 and US-ASCII
- `nbfse`: WCF's binary encoding; `nbfx`: its documents, by the compiled `_nbfx` where it is built, or else by
  `nbfxreader`, `nbfxvalues` and `nbfxwriter`; `nbfs`: its strings
- `mtom`: attachments as parts of their own; `compression`: messages compressed one by one
"""
