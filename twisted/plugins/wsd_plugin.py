"""What makes `twistd wsd` and `twist wsd`: it names the module and imports nothing of it."""

from twisted.application.service import ServiceMaker

wsd = ServiceMaker("wsd", "wsd.tap", "A WebSocket daemon: echo, subprotocols, binary transfer, TLS.", "wsd")
