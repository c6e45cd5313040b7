"""Negotiation: RFC 6455, sections 4.2.2, 9.1 and 11.3, and RFC 7692, section 7.1."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest

from wsd.head import Headers, Refused
from wsd.policies.negotiation import Deflate, Offers, acceptDeflate, choose, offeredExtensions, offeredSubprotocols


def subprotocols(*values: str) -> tuple[str, ...]:
    """What these Sec-WebSocket-Protocol fields offer."""
    return offeredSubprotocols(Headers([("Sec-WebSocket-Protocol", value) for value in values]))


def extensions(*values: str) -> Offers:
    """What these Sec-WebSocket-Extensions fields offer."""
    return offeredExtensions(Headers([("sec-websocket-extensions", value) for value in values]))


def answer(*values: str) -> str | None:
    """The answer to these Sec-WebSocket-Extensions fields."""
    agreed = acceptDeflate(extensions(*values))
    return None if agreed is None else agreed.answer


def agreed(value: str) -> Deflate:
    """The parameters of an accepted offer."""
    deflate = acceptDeflate(extensions(value))
    assert deflate is not None
    return deflate


def sentence(caught: pytest.ExceptionInfo[Refused]) -> str:
    """The sentence of a refusal with 400, in printable ASCII."""
    refused = caught.value
    assert refused.status == 400
    assert len(refused.sentence) < 250
    assert refused.sentence.isascii()
    assert refused.sentence.isprintable()
    return refused.sentence


class TestOfferedSubprotocols:
    """RFC 6455 4.1, point 10, and 11.3.4."""

    @pytest.mark.parametrize(
        ("values", "names"),
        [
            ([], ()),
            (["soap"], ("soap",)),
            (["soap, xmpp"], ("soap", "xmpp")),
            (["soap,xmpp\t , v1.blob"], ("soap", "xmpp", "v1.blob")),
            (["soap", "xmpp, a", "b"], ("soap", "xmpp", "a", "b")),
            (["a, A"], ("a", "A")),
            (["echo, "], ("echo",)),
            ([", echo"], ("echo",)),
            (["soap,, ,xmpp"], ("soap", "xmpp")),
            (["", "echo"], ("echo",)),
            (["echo", ""], ("echo",)),
            (["!#$%&'*+-.^_`|~09azAZ"], ("!#$%&'*+-.^_`|~09azAZ",)),
        ],
    )
    def test_are_a_list_of_names_in_one_field_or_several(self, values: list[str], names: tuple[str, ...]) -> None:
        assert subprotocols(*values) == names

    @pytest.mark.parametrize(
        "value",
        [
            "",
            " ",
            ",",
            " , ,",
            "so ap",
            "so\tap",
            "soap;q=1",
            "soap/1.1",
            '"soap"',
            "(soap)",
            "soap=1",
            "so@ap",
            "{soap}",
            "so\xe4p",
            "so\xa0ap",
            "\xa0soap",
            "so\x00ap",
            "soap\n",
            "soap\x7f",
        ],
    )
    def test_are_refused_when_one_is_no_name(self, value: str) -> None:
        with pytest.raises(Refused) as caught:
            subprotocols(value)
        assert "not a valid name" in sentence(caught)

    @pytest.mark.parametrize("values", [["soap, soap"], ["soap, xmpp,soap"], ["soap", "soap"], ["a", "b, a"]])
    def test_are_refused_when_one_is_there_twice(self, values: list[str]) -> None:
        with pytest.raises(Refused) as caught:
            subprotocols(*values)
        assert "twice" in sentence(caught)

    def test_are_not_shown_at_length(self) -> None:
        for value in ("\x1b" * 16000, f"{'a' * 8000}, {'a' * 8000}", "a b" * 5000):
            with pytest.raises(Refused) as caught:
                subprotocols(value)
            sentence(caught)


class TestTheChosenSubprotocol:
    """RFC 6455 4.2.2, point 5: one that was offered, or none."""

    @pytest.mark.parametrize(
        ("offered", "available", "client", "server"),
        [
            (("soap", "xmpp"), ("xmpp", "soap"), "soap", "xmpp"),
            (("a", "soap", "b", "xmpp"), ("c", "xmpp", "soap"), "soap", "xmpp"),
            (("soap",), ("soap",), "soap", "soap"),
            (("SOAP",), ("soap",), None, None),
            (("soap1",), ("soap",), None, None),
            (("a",), ("b",), None, None),
            ((), ("soap",), None, None),
            (("soap",), (), None, None),
        ],
    )
    def test_is_the_first_in_common_in_the_order_that_counts(
        self, offered: tuple[str, ...], available: tuple[str, ...], client: str | None, server: str | None
    ) -> None:
        assert choose(offered, available, "client") == client
        assert choose(offered, available, "server") == server


class TestOfferedExtensions:
    """RFC 6455 9.1 and 11.3.2."""

    @pytest.mark.parametrize(
        ("values", "offers"),
        [
            ([], []),
            (["foo"], [("foo", [])]),
            (["foo, bar; baz=2"], [("foo", []), ("bar", [("baz", "2")])]),
            (["foo; a; b=c ;d"], [("foo", [("a", None), ("b", "c"), ("d", None)])]),
            (["foo;a;a=1"], [("foo", [("a", None), ("a", "1")])]),
            (["foo", "foo; a"], [("foo", []), ("foo", [("a", None)])]),
            (["foo; a = b;\tc=\td"], [("foo", [("a", "b"), ("c", "d")])]),
            (['foo; a="b"'], [("foo", [("a", "b")])]),
            (['foo; a="\\1\\0"'], [("foo", [("a", "10")])]),
            ([""], []),
            (["foo,, bar,"], [("foo", []), ("bar", [])]),
        ],
    )
    def test_are_a_list_with_parameters_in_one_field_or_several(
        self, values: list[str], offers: list[tuple[str, list[tuple[str, str | None]]]]
    ) -> None:
        assert extensions(*values) == tuple((name, tuple(parameters)) for name, parameters in offers)

    @pytest.mark.parametrize(
        "value",
        [
            ";",
            "; a",
            "foo;",
            "foo; a;;b",
            "foo; =1",
            "foo; a=",
            'foo; a=""',
            'foo; a="',
            'foo; a="b',
            'foo; a="b c"',
            'foo; a="b,c"',
            'foo; a="b;c"',
            'foo; a="b"c',
            'foo; a="\\',
            'foo; a="\\"',
            'foo; a="\\""',
            "foo; a=b=c",
            "foo; a b",
            "foo bar",
            "foo=1",
            "f\xf6o",
            "foo; a\xa0=1",
            "foo\xa0",
            "foo\n",
            "foo; a=1\n",
        ],
    )
    def test_are_refused_when_they_cannot_be_read(self, value: str) -> None:
        with pytest.raises(Refused) as caught:
            extensions("permessage-deflate", value)
        assert "Sec-WebSocket-Extensions" in sentence(caught)

    @pytest.mark.parametrize(
        "text", ["a;", "a;b,", 'a;b="', '\\"', "a;b=", " ", ";", ",", 'a;b="\\a', "permessage-deflate;"]
    )
    def test_are_read_in_the_time_their_length_takes(self, text: str) -> None:
        value = text * (16000 // len(text))
        began = time.process_time()
        for end in ("", "a", '"', "\x00"):
            with suppress(Refused):
                acceptDeflate(extensions(value + end))
        assert time.process_time() - began < 1


class TestPermessageDeflate:
    """RFC 7692, sections 5 and 7.1."""

    def test_is_agreed_on_as_it_is(self) -> None:
        assert agreed("permessage-deflate") == Deflate(False, False, 15, 15, "permessage-deflate")

    def test_is_not_agreed_on_unless_offered(self) -> None:
        assert answer() is None
        assert answer("x-webkit-deflate-frame, Permessage-Deflate, foo; server_no_context_takeover") is None

    def test_as_browsers_offer_it_leaves_the_clients_window_alone(self) -> None:
        """7.1.2.2: a client_max_window_bits without a value only says that one may be asked for."""
        assert answer("permessage-deflate; client_max_window_bits") == "permessage-deflate"

    @pytest.mark.parametrize(
        ("offer", "expected"),
        [
            (
                "server_no_context_takeover",
                Deflate(True, False, 15, 15, "permessage-deflate; server_no_context_takeover"),
            ),
            (
                "client_no_context_takeover",
                Deflate(False, True, 15, 15, "permessage-deflate; client_no_context_takeover"),
            ),
            (
                "server_max_window_bits=10",
                Deflate(False, False, 10, 15, "permessage-deflate; server_max_window_bits=10"),
            ),
            (
                'client_max_window_bits="10"',
                Deflate(False, False, 15, 10, "permessage-deflate; client_max_window_bits=10"),
            ),
            (
                "client_max_window_bits=9; server_max_window_bits=15;"
                " client_no_context_takeover; server_no_context_takeover",
                Deflate(
                    True,
                    True,
                    15,
                    9,
                    "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
                    " server_max_window_bits=15; client_max_window_bits=9",
                ),
            ),
        ],
    )
    def test_says_what_it_grants(self, offer: str, expected: Deflate) -> None:
        assert agreed(f"permessage-deflate; {offer}") == expected

    @pytest.mark.parametrize("bits", range(8, 16))
    def test_has_client_windows_of_8_to_15_bits(self, bits: int) -> None:
        deflate = agreed(f"permessage-deflate; client_max_window_bits={bits}")
        assert deflate.answer.endswith(f"client_max_window_bits={bits}")
        assert deflate.clientBits >= bits
        zlib.decompressobj(-deflate.clientBits)

    @pytest.mark.parametrize("bits", range(9, 16))
    def test_has_server_windows_of_9_to_15_bits(self, bits: int) -> None:
        deflate = agreed(f"permessage-deflate; server_max_window_bits={bits}")
        assert deflate.answer.endswith(f"server_max_window_bits={bits}")
        assert deflate.serverBits == bits
        zlib.compressobj(6, zlib.DEFLATED, -deflate.serverBits)

    def test_with_a_server_window_of_8_bits_is_declined_since_zlib_has_none(self) -> None:
        assert answer("permessage-deflate; server_max_window_bits=8") is None

    @pytest.mark.parametrize(
        "parameters",
        [
            "foo",
            "foo=1",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=010",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "server_max_window_bits=1e1",
            "server_max_window_bits=foo",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=010",
            "client_max_window_bits=-9",
            'client_max_window_bits="008"',
            "Server_No_Context_Takeover",
            "server_no_context_takeover; server_no_context_takeover",
            "client_max_window_bits; client_max_window_bits",
            "client_max_window_bits=10; client_max_window_bits=10",
            "client_max_window_bits; client_max_window_bits=10",
            "server_max_window_bits=10; server_max_window_bits=11",
            "server_no_context_takeover; foo",
        ],
    )
    def test_is_declined_not_refused_when_a_parameter_is_bad(self, parameters: str) -> None:
        offer = f"permessage-deflate; {parameters}"
        assert answer(offer) is None
        assert answer(f"{offer}, permessage-deflate; server_max_window_bits=12, permessage-deflate") == (
            "permessage-deflate; server_max_window_bits=12"
        ), "the next offer counts"

    def test_is_agreed_on_in_the_clients_order(self) -> None:
        offers = ("permessage-deflate; server_max_window_bits=10", "permessage-deflate")
        assert answer(", ".join(offers)) == answer(*offers) == "permessage-deflate; server_max_window_bits=10"
        assert answer(*reversed(offers)) == "permessage-deflate"

    def test_is_agreed_on_once_among_others(self) -> None:
        assert answer("foo; bar, permessage-deflate, permessage-deflate, baz") == "permessage-deflate"


def test_long_offers_are_not_kept() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(64):
            assert answer(f"permessage-deflate{f';a{number}' * 3000}") is None
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


def test_an_offer_with_all_parameters_is_accepted() -> None:
    every = (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; "
        "client_max_window_bits=11"
    )
    assert answer(every) == every
