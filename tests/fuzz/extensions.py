"""
What an opening handshake offers: extensions are read as `websockets` reads them, and an answer is one that it accepts.

Whatever is offered, it is read or `Refused`.
"""

from __future__ import annotations

from websockets.exceptions import InvalidHeaderFormat, NegotiationError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import parse_extension, parse_subprotocol

from wsd.head import Headers, Refused
from wsd.policies.negotiation import Offers, acceptDeflate, offeredExtensions, offeredSubprotocols


def check(data: bytes) -> None:
    """Takes the values of Sec-WebSocket-Extensions and Sec-WebSocket-Protocol, one on each line."""
    first, _, second = data.decode("latin-1").partition("\n")
    extensions, subprotocols = _withoutEnds(first), _withoutEnds(second)
    offers = _offers(extensions)
    try:
        expected = [(name, tuple(parameters)) for name, parameters in parse_extension(extensions)]
    except InvalidHeaderFormat:
        expected = None
    if offers:
        assert list(offers) == expected, expected
        _checkAnswer(offers)
    _checkSubprotocols(subprotocols)


def _withoutEnds(value: str) -> str:
    """A value without what the reader of heads never leaves in one."""
    return "".join(each for each in value if each == "\t" or each >= " ").strip(" \t")


def _offers(value: str) -> Offers | None:
    try:
        return offeredExtensions(Headers([("Sec-WebSocket-Extensions", value)]))
    except Refused:
        return None


def _checkAnswer(offers: Offers) -> None:
    """A client that has offered this accepts the answer, and reads the same parameters in it."""
    agreed = acceptDeflate(offers)
    if agreed is None:
        return
    [(name, parameters)] = parse_extension(agreed.answer)
    assert name == "permessage-deflate"
    offered = [dict(each) for name, each in offers if name == "permessage-deflate"]
    told = dict(parameters)
    assert any(told.keys() <= each.keys() for each in offered)
    client = ClientPerMessageDeflateFactory(client_max_window_bits=15 if "client_max_window_bits" in told else None)
    try:
        extension = client.process_response_params(parameters, [])
    except NegotiationError as error:
        raise AssertionError(agreed.answer) from error
    assert extension.remote_no_context_takeover == agreed.serverNoContext
    assert extension.local_no_context_takeover == agreed.clientNoContext
    assert extension.remote_max_window_bits == agreed.serverBits
    assert extension.local_max_window_bits <= agreed.clientBits


def _checkSubprotocols(value: str) -> None:
    try:
        names = offeredSubprotocols(Headers([("Sec-WebSocket-Protocol", value)]))
    except Refused:
        return
    assert names
    assert list(names) == parse_subprotocol(value)
