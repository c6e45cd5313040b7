"""Twisted's plugin for `twistd wsd` and `twist wsd`. It names the module without importing it."""

from twisted.application.service import ServiceMaker

wsd = ServiceMaker("wsd", "wsd.tap", "A WebSocket daemon: echo, subprotocols, binary transfer, TLS.", "wsd")
