"""Spyne behind waitress, validating with lxml what it is asked."""

from __future__ import annotations

import logging

from spyne import Application, ComplexModel, Date, Decimal, Integer32, ServiceBase, Unicode, rpc
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication
from waitress import create_server

SPACE = "urn:bench"


class Line(ComplexModel):
    __namespace__ = SPACE
    _type_info = (("item", Unicode), ("amount", Integer32), ("price", Decimal), ("day", Date))


Lines = Line.customize(max_occurs="unbounded")


class Bench(ServiceBase):
    @rpc(Unicode, _returns=Unicode)
    def Echo(self, text):
        return text

    @rpc(Lines, _returns=Lines)
    def Order(self, lines):
        return lines


service = Application([Bench], SPACE, in_protocol=Soap11(validator="lxml"), out_protocol=Soap11())
# waitress warns of each request that has to wait.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
server = create_server(WsgiApplication(service), host="127.0.0.1", port=0, threads=1)
print(f"listening {server.effective_port}", flush=True)
server.run()
