"""A canvas: who paints, who watches, and what is said about it."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.protocols.canvas.canvases import SIZE, ask, daemonOf, frame, lines, pictures, told
from tests.wire import Client, Daemon
from wsd.config import Policies


def refusal(daemon: Daemon, path: str) -> tuple[int, str]:
    """The status and the sentence that an opening gets."""
    response = daemon.open(path).response
    assert response is not None
    return response.status_code, (response.body or b"").decode().strip()


def errors(client: Client) -> list[str]:
    return [each["error"]["code"] for each in lines(client) if "error" in each]


def closing(client: Client) -> tuple[int | None, str]:
    return client.closeCode, client.closeReason


class TestAFrame:
    def test_reaches_everyone_else_at_that_name_and_nobody_at_another(self) -> None:
        daemon = daemonOf()
        painter, viewer, other = (daemon.open(f"/canvas/{name}") for name in ("a", "a", "b"))
        painter.say(frame(1))
        assert told(viewer) == [frame(1)]
        assert told(other) == []

    def test_reaches_its_sender_for_an_echo(self) -> None:
        painter = daemonOf().open("/canvas/a?echo")
        painter.say(frame(1))
        assert pictures(painter) == [frame(1)]

    def test_is_what_a_newcomer_sees_at_once(self) -> None:
        daemon = daemonOf()
        painter = daemon.open("/canvas/a")
        for byte in (1, 2):
            painter.say(frame(byte))
        assert told(daemon.open("/canvas/a?role=viewer")) == [frame(2)]
        assert pictures(daemon.open("/canvas/a?role=painter")) == [frame(2)]

    def test_is_still_there_when_its_painter_has_left(self) -> None:
        daemon = daemonOf()
        painter = daemon.open("/canvas/a")
        painter.say(frame(1))
        painter.close()
        assert told(daemon.open("/canvas/a")) == [frame(1)]

    def test_is_receipted(self) -> None:
        daemon = daemonOf()
        painter = daemon.open("/canvas/a?role=painter")
        daemon.open("/canvas/a?role=viewer")
        daemon.open("/canvas/a?role=viewer")
        painter.say(frame(1))
        painter.say(frame(2))
        assert lines(painter) == [
            {"frame": 1, "bytes": SIZE, "viewers": 2},
            {"frame": 2, "bytes": SIZE, "viewers": 2},
        ]

    def test_is_not_deflated_for_who_offers_it(self) -> None:
        daemon = daemonOf(Policies(deflate=False))
        viewer = daemon.open("/canvas/a", headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
        daemon.open("/canvas/a").say(frame(1))
        assert told(viewer) == [frame(1)]
        assert not any(each.rsv1 for each in viewer.frames)


class TestItsSize:
    def test_is_400_by_320_when_nobody_says_another(self) -> None:
        client = daemonOf().open("/canvas/a")
        client.say(frame(1, SIZE - 4))
        assert errors(client) == ["bad_length"]
        assert closing(client) == (1007, "expected 512000 bytes (400 x 320, four per pixel), got 511996")

    def test_comes_from_the_query(self) -> None:
        daemon = daemonOf()
        viewer = daemon.open("/canvas/a?width=2&height=3")
        daemon.open("/canvas/a?width=2&height=3").say(frame(1, 24))
        assert told(viewer) == [frame(1, 24)]

    def test_comes_from_a_line_until_the_next_one(self) -> None:
        client = daemonOf().open("/canvas/a?width=9&height=9&echo")
        client.say('{"width":2,"height":3}')
        client.say(frame(1, 24))
        client.say(frame(2, 24))
        client.say('{"height":1,"width":1}')
        client.say(frame(3, 4))
        assert pictures(client) == [frame(1, 24), frame(2, 24), frame(3, 4)]

    def test_is_told_to_who_cannot_know_it(self) -> None:
        daemon = daemonOf()
        viewer, sized = daemon.open("/canvas/a?role=viewer"), daemon.open("/canvas/a?role=viewer&width=2&height=3")
        painter = daemon.open("/canvas/a?width=2&height=3")
        daemon.reactor.advance(7.5)
        painter.say(frame(1, 24))
        painter.say(frame(2, 24))
        painter.say('{"width":400,"height":320}')
        painter.say(frame(3))
        usual = {"width": 400, "height": 320, "frame": 3, "time": 7500}
        assert told(viewer) == [
            {"width": 2, "height": 3, "frame": 1, "time": 7500},
            frame(1, 24),
            frame(2, 24),
            usual,
            frame(3),
        ]
        assert told(sized) == [frame(1, 24), frame(2, 24), usual, frame(3)]

    def test_is_told_with_each_frame_to_who_asks(self) -> None:
        daemon = daemonOf()
        viewer = daemon.open("/canvas/a?meta")
        painter = daemon.open("/canvas/a")
        for byte in (1, 2):
            painter.say(frame(byte))
        assert [line["frame"] for line in lines(viewer)] == [1, 2]
        assert [type(each) for each in told(viewer)] == [dict, bytes] * 2

    def test_has_a_cap(self) -> None:
        daemon = daemonOf(max_pixels=128_000)
        assert refusal(daemon, "/canvas/a?width=401&height=320") == (
            400,
            "401 x 320 is 128320 pixels; this route allows at most 128000",
        )
        client = daemon.open("/canvas/a")
        client.say('{"width":401,"height":320}')
        assert errors(client) == ["too_large"]
        assert closing(client) == (1009, "401 x 320 is 128320 pixels; this route allows at most 128000")

    def test_of_the_largest_picture_passes_whatever_max_message_says(self) -> None:
        client = daemonOf(Policies(max_message=1000)).open("/canvas/a?width=1024&height=1024&echo")
        client.say(frame(1, 4 << 20))
        assert pictures(client) == [frame(1, 4 << 20)]

    def test_when_it_is_wrong_leaves_the_last_good_frame(self) -> None:
        daemon = daemonOf()
        painter, viewer = daemon.open("/canvas/a"), daemon.open("/canvas/a")
        painter.say(frame(1))
        painter.say(frame(2, 5))
        assert painter.closeCode == 1007
        assert told(viewer) == [frame(1)]
        assert told(daemon.open("/canvas/a")) == [frame(1)]


class TestAPart:
    def test_is_composed_and_everyone_sees_the_whole(self) -> None:
        daemon = daemonOf()
        painter, viewer = daemon.open("/canvas/a?width=3&height=2"), daemon.open("/canvas/a?width=3&height=2")
        painter.say(b"aaaabbbbccccddddeeeeffff")
        painter.say('{"x":1,"y":0,"width":1,"height":2}')
        painter.say(b"XXXXYYYY")
        assert told(viewer) == [b"aaaabbbbccccddddeeeeffff", b"aaaaXXXXccccddddYYYYffff"]
        assert lines(painter)[-1] == {"frame": 2, "bytes": 8, "viewers": 1}

    def test_is_the_next_message_only(self) -> None:
        client = daemonOf().open("/canvas/a?width=2&height=1&echo")
        client.say('{"x":0,"y":0,"width":1,"height":1}')
        client.say(b"aaaa")
        client.say(b"bbbbcccc")
        assert pictures(client) == [b"aaaa\0\0\0\0", b"bbbbcccc"]

    def test_may_lie_outside(self) -> None:
        client = daemonOf().open("/canvas/a?width=2&height=1&echo")
        client.say('{"x":-1,"y":0,"width":2,"height":1}')
        client.say(b"aaaabbbb")
        assert pictures(client) == [b"bbbb\0\0\0\0"]

    def test_of_another_connection_goes_into_the_same_picture(self) -> None:
        daemon = daemonOf()
        daemon.open("/canvas/a?width=2&height=1").say(b"aaaabbbb")
        other = daemon.open("/canvas/a?echo")
        other.say('{"x":1,"y":0,"width":1,"height":1}')
        other.say(b"XXXX")
        assert pictures(other) == [b"aaaabbbb", b"aaaaXXXX"]

    def test_of_another_length_closes(self) -> None:
        client = daemonOf().open("/canvas/a")
        client.say('{"x":0,"y":0,"width":2,"height":2}')
        client.say(bytes(15))
        assert closing(client) == (1007, "expected 16 bytes (2 x 2, four per pixel), got 15")

    def test_is_forgotten_with_another_line(self) -> None:
        client = daemonOf().open("/canvas/a?echo")
        client.say('{"x":0,"y":0,"width":2,"height":2}')
        client.say('{"width":1,"height":1}')
        client.say(bytes(4))
        assert pictures(client) == [bytes(4)]

    def test_is_forgotten_with_text_where_its_pixels_are_due(self) -> None:
        client = daemonOf().open("/canvas/a?echo")
        client.say('{"x":0,"y":0,"width":2,"height":2}')
        client.say("pixels")
        assert errors(client) == ["bad_message"]
        client.say(frame(1))
        assert pictures(client) == [frame(1)]


class TestAViewer:
    def test_only_watches(self) -> None:
        daemon = daemonOf()
        viewer, other = daemon.open("/canvas/a?role=viewer"), daemon.open("/canvas/a")
        viewer.say(frame(1))
        assert errors(viewer) == ["viewer"]
        assert closing(viewer) == (1008, "a viewer cannot paint; connect without role=viewer")
        assert told(other) == []


class TestWatching:
    """Who asks is told how many connections the canvas has, itself included."""

    def test_is_told_a_moment_after_somebody_came_or_left(self) -> None:
        daemon = daemonOf()
        one = daemon.open("/canvas/a?watching")
        daemon.reactor.advance(0.2)
        assert lines(one) == [{"watching": 1}]
        two, other = daemon.open("/canvas/a?watching&role=viewer"), daemon.open("/canvas/b")
        daemon.reactor.advance(0.2)
        assert lines(one)[1:] == lines(two) == [{"watching": 2}]
        two.close()
        other.close()
        daemon.reactor.advance(0.2)
        assert lines(one)[2:] == [{"watching": 1}]

    def test_is_told_once_for_many_who_come_together(self) -> None:
        daemon = daemonOf()
        clients = [daemon.open("/canvas/a?watching") for _ in range(20)]
        daemon.reactor.advance(0.2)
        assert [lines(client) for client in clients] == 20 * [[{"watching": 20}]]

    def test_is_not_told_again_if_it_is_as_before(self) -> None:
        daemon = daemonOf()
        one, two = (daemon.open("/canvas/a?watching") for _ in range(2))
        daemon.reactor.advance(0.2)
        two.close()
        daemon.open("/canvas/a").exchange()
        daemon.reactor.advance(0.2)
        assert lines(one) == [{"watching": 2}]

    def test_is_told_to_nobody_else(self) -> None:
        daemon = daemonOf()
        clients = [daemon.open("/canvas/a"), daemon.open("/canvas/a?meta&role=viewer")]
        daemon.reactor.advance(0.2)
        assert [told(client) for client in clients] == [[], []]

    def test_waits_for_the_frame_that_is_being_sent(self) -> None:
        daemon = daemonOf()
        size = 4 << 20
        slow = daemon.open("/canvas/a?width=1024&height=1024&watching")
        painter = daemon.open("/canvas/a?width=1024&height=1024")
        for byte in (1, 2):
            painter.say(frame(byte, size))
        daemon.reactor.advance(0.2)
        found = told(slow)
        assert found[0] == frame(1, size)
        assert {"watching": 2} in found
        assert found[-1] == frame(2, size)


class TestTheList:
    def test_has_each_canvas_with_its_picture_and_the_number_of_its_connections(self) -> None:
        daemon = daemonOf()
        daemon.open("/canvas/empty")
        daemon.open("/canvas/a")
        daemon.reactor.advance(7.5)
        daemon.open("/canvas/a?width=2&height=3").say(frame(1, 24))
        for path in ("/canvas", "/canvas/"):
            answer = ask(daemon, f"GET {path}")
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
            assert json.loads(answer.body) == {
                "canvases": [
                    {"name": "empty", "url": "/canvas/empty", "watching": 1},
                    {
                        "name": "a",
                        "url": "/canvas/a",
                        "watching": 2,
                        "frame": 1,
                        "time": 7500,
                        "width": 2,
                        "height": 3,
                        "png": "/canvas/a.png",
                    },
                ]
            }

    def test_names_no_png_without_pillow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "PIL", None)
        daemon = daemonOf()
        daemon.open("/canvas/a").say(frame(1))
        (entry,) = json.loads(ask(daemon, "GET /canvas").body)["canvases"]
        assert "png" not in entry
        page = ask(daemon, "GET /canvas", "Accept: text/html").body.decode()
        assert 'data-png="false"' in page

    def test_is_a_page_in_a_browser(self) -> None:
        answer = ask(daemonOf(max_pixels=128_000), "GET /canvas", "Accept: text/html,*/*")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["vary"] == "Accept"
        assert 'data-route="/canvas" data-png="true" data-list="true" data-most="128000"' in answer.body.decode()

    def test_is_for_nobody_where_the_route_says_so(self) -> None:
        daemon = daemonOf(list=False)
        answer = ask(daemon, "GET /canvas")
        assert answer.status == 403
        assert answer.body.decode() == "this server does not list its canvases; its configuration has list = false\n"
        assert 'data-list="false"' in ask(daemon, "GET /canvas", "Accept: text/html").body.decode()

    def test_is_not_a_canvas(self) -> None:
        assert refusal(daemonOf(), "/canvas")[0] == 404


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("Ping", "not a JSON object"),
            ("[1]", "not a JSON object"),
            ('{"width":1', "not a JSON object"),
            ("[" * 1000, "not a JSON object"),
            ('{"width":' + "1" * 1100 + "}", "1024 characters"),
            ("{}", "width and height are required"),
            ('{"width":1}', "width and height are required"),
            ('{"x":1,"y":1}', "width and height are required"),
            ('{"x":1,"width":1,"height":1}', "x and y only together"),
            ('{"width":1,"height":1,"depth":1}', "'depth' is an unknown key"),
            ('{"width":0,"height":1}', "width is 0; write a whole number of at least 1"),
            ('{"width":1.5,"height":1}', "width is 1.5"),
            ('{"width":true,"height":1}', "width is true"),
            ('{"width":"1","height":1}', 'width is "1"'),
            ('{"width":1,"height":null}', "height is null"),
            ('{"width":1e400,"height":1}', "width is Infinity"),
            ('{"x":0.5,"y":0,"width":1,"height":1}', "x is 0.5"),
            ('{"x":0,"y":-2147483649,"width":1,"height":1}', "y is -2147483649"),
        ],
    )
    def test_text_is_answered_and_the_connection_goes_on(self, text: str, said: str) -> None:
        client = daemonOf().open("/canvas/a?echo")
        client.say(text)
        (answer,) = lines(client)
        assert answer["error"]["code"] == "bad_message"
        assert said in answer["error"]["message"]
        client.say(frame(1))
        assert pictures(client) == [frame(1)]

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("role=judge", "role='judge' is not a role; use painter or viewer"),
            ("width=1", "width is given alone; give both, as in width=400&height=320, or neither"),
            ("width=0&height=1", "width='0' is not a number of pixels; use a whole number of at least 1"),
            ("width=1&height=-1", "height='-1' is not a number of pixels; use a whole number of at least 1"),
            (
                "width=1&height=9999999999",
                "height='9999999999' is not a number of pixels; use a whole number of at least 1",
            ),
            ("width=%D9%A1&height=1", "width='١' is not a number of pixels; use a whole number of at least 1"),
            ("meta=maybe", "meta='maybe' is not a switch; write meta alone"),
            ("ecko", "unknown query field 'ecko'; a canvas knows width, height, role, meta, echo, watching"),
            ("width=%ff", "the query cannot be read"),
        ],
    )
    def test_a_query_that_cannot_be_is_refused_before_it_opens(self, query: str, said: str) -> None:
        status, sentence = refusal(daemonOf(), f"/canvas/a?{query}")
        assert status == 400
        assert said in sentence

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", "a/b", "..%2Fa", "a%00", "%0A", "%E4%BD%A0", "a%20b", "x" * 65, "x" * 10_000, "a.png", ".png"],
    )
    def test_a_name_that_is_none_is_refused(self, name: str) -> None:
        daemon = daemonOf()
        status, sentence = refusal(daemon, f"/canvas/{name}")
        assert status == 404
        assert "is not a valid canvas name" in sentence
        assert len(daemon.factories["/canvas/*"].boards) == 0

    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            ("%E4%BD%A0%E5%A5%BD", "'你好'"),
            ("gr%C3%B6%C3%9Fe", "'größe'"),
            ("%FF", "'\N{REPLACEMENT CHARACTER}'"),
            ("%2541", "'%41'"),
            ("a%0Ab", r"'a\nb'"),
        ],
    )
    def test_it_is_shown_as_it_was_written_by_page_and_connection_alike(self, path: str, shown: str) -> None:
        daemon = daemonOf()
        sentence = f"{shown} is not a valid canvas name; use 1 to 64 letters, digits, '-', '_' and '.'"
        assert refusal(daemon, f"/canvas/{path}") == (404, sentence)
        answer = ask(daemon, f"GET /canvas/{path}")
        assert (answer.status, answer.body.decode()) == (404, f"{sentence}\n")

    @pytest.mark.parametrize("name", ["a", "x" * 64, "a..b", "A-b_c.1", "a.PNG", "%61"])
    def test_every_other_name_is_one(self, name: str) -> None:
        assert daemonOf().open(f"/canvas/{name}").response.status_code == 101  # type: ignore[union-attr]


class TestASlowViewer:
    """It reads nothing for a while: 4 MiB a frame is more than the kernel takes."""

    SIZE = 4 << 20
    PATH = "/canvas/a?width=1024&height=1024"

    def opened(self) -> tuple[Daemon, Client, Client, Any]:
        daemon = daemonOf()
        slow = daemon.open(f"{self.PATH}&role=viewer")
        (connection,) = daemon.connections
        return daemon, daemon.open(self.PATH), slow, connection

    def paint(self, painter: Client, *colours: int) -> None:
        for colour in colours:
            painter.say(frame(colour, self.SIZE))

    def test_gets_the_newest_frame_and_none_of_those_between(self) -> None:
        _, painter, slow, _ = self.opened()
        self.paint(painter, *range(1, 9))
        seen = [each[0] for each in pictures(slow)]
        assert seen == sorted(seen)
        assert (seen[0], seen[-1]) == (1, 8)
        assert len(seen) <= 4

    def test_holds_back_nobody_and_no_more_than_a_part_of_one_frame_waits_for_it(self) -> None:
        daemon, painter, slow, connection = self.opened()
        quick = daemon.open(f"{self.PATH}&role=viewer")
        for colour in range(1, 9):
            self.paint(painter, colour)
            assert connection.unsent < self.SIZE + 100
            quick.exchange()
        assert [each[0] for each in pictures(quick)] == list(range(1, 9))
        assert connection.isFull
        assert pictures(slow)[-1] == frame(8, self.SIZE)

    def test_its_skipped_frames_are_counted(self) -> None:
        daemon, painter, slow, _ = self.opened()
        self.paint(painter, *range(1, 9))
        seen = len(pictures(slow))
        assert daemon.metrics.route("/canvas").skipped == 8 - seen > 0

    def test_is_dropped_when_it_takes_nothing_at_all(self) -> None:
        daemon, painter, _, connection = self.opened()
        self.paint(painter, 1, 2, 3)
        daemon.pass_(125)
        assert connection not in daemon.connections


class TestAPainterThatDoesNotRead:
    def test_has_to_wait_with_its_frames(self) -> None:
        daemon = daemonOf()
        painter = daemon.open("/canvas/a?width=1024&height=1024&echo")
        (connection,) = daemon.connections
        while not connection.isFull:
            painter.protocol.send_binary(bytes(4 << 20))
            painter.wire.send(b"".join(painter.protocol.data_to_send()))
        painted = connection._board.frame.number
        painter.protocol.send_text(b'{"width":1,"height":1}')
        for _ in range(100):
            painter.protocol.send_binary(bytes(4))
        painter.wire.push(b"".join(painter.protocol.data_to_send()))
        painter.wire.serve()
        assert connection.held
        assert connection._board.frame.number == painted + 16
        painter.exchange()
        assert not connection.held
        assert [each["frame"] for each in lines(painter) if "viewers" in each] == list(range(1, painted + 101))


class TestCanvases:
    def test_are_dropped_when_they_were_idle_for_long_enough(self) -> None:
        daemon = daemonOf(Policies(ping_interval=0), idle=100)
        boards = daemon.factories["/canvas/*"].boards
        painter = daemon.open("/canvas/a")
        painter.say(frame(1))
        daemon.pass_(200)
        assert len(boards) == 1
        painter.close()
        daemon.pass_(99)
        assert len(boards) == 1
        daemon.pass_(40)
        assert len(boards) == 0
        assert told(daemon.open("/canvas/a")) == []

    def test_that_nobody_painted_on_are_dropped_with_their_last_viewer(self) -> None:
        daemon = daemonOf()
        daemon.open("/canvas/a").close()
        daemon.open("/canvas/b")
        assert len(daemon.factories["/canvas/*"].boards) == 1

    def test_have_a_count(self) -> None:
        daemon = daemonOf(max_canvases=2, idle=100)
        kept = [daemon.open(f"/canvas/{name}") for name in "ab"]
        assert refusal(daemon, "/canvas/c") == (
            503,
            "this server keeps at most 2 canvases; use one of them, or try again later",
        )
        assert daemon.open("/canvas/a").response.status_code == 101  # type: ignore[union-attr]
        kept[1].close()
        assert daemon.open("/canvas/c").response.status_code == 101  # type: ignore[union-attr]

    def test_number_their_frames_anew_when_they_come_again(self) -> None:
        daemon = daemonOf(idle=1)
        for _ in range(2):
            client = daemon.open("/canvas/a")
            client.say(frame(1))
            assert json.loads(str(client.messages()[0]))["frame"] == 1
            client.close()
            daemon.pass_(2)
