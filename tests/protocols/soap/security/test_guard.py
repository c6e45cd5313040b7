"""A route that asks for a UsernameToken in each message: who may call, what answers have, and what the log says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from tests.auth.helpers import SECRET, hashed
from tests.protocols.soap.security.messages import (
    ADD,
    NOTE,
    OLD,
    PROXY,
    Guarded,
    at,
    code,
    digest,
    guarded,
    message,
    reason,
    security,
    token,
)
from tests.protocols.soap.talk import DEMO, text
from tests.protocols.soap.test_http import Answer, ask
from wsd.config import ConfigError, parse
from wsd.config.auth import Auth
from wsd.protocols import optionsOf
from wsd.protocols.soap.names import WSSE, WSU
from wsd.protocols.soap.protocol import SoapFactory
from wsd.protocols.soap.service import Call
from wsd.service import check

CREATED = "string(/*/*[1]/*[local-name() = 'Security']/*[local-name() = 'Timestamp']/*[local-name() = 'Created'])"
EXPIRES = CREATED.replace("Created", "Expires")


@pytest.fixture
def route(tmp_path: Path) -> Guarded:
    return guarded(tmp_path)


def post(route: Guarded, body: str, kind: str = "application/soap+xml", **headers: str) -> Answer:
    fields = {"Content-Type": kind, **PROXY, **headers}
    return ask(route.daemon, "POST /soap", *(f"{name}: {value}" for name, value in fields.items()), body=body)


class TestAMessage:
    def test_with_the_right_password_is_answered(self, route: Guarded) -> None:
        assert text(route.talker().ask(message(security())), "//d:sum") == "5"

    def test_over_http_as_well(self, route: Guarded) -> None:
        answer = post(route, message(security()))
        assert (answer.status, text(answer.root, "//d:sum")) == (200, "5")

    def test_needs_no_type_of_the_password_and_no_timestamp(self, route: Guarded) -> None:
        assert text(route.talker().ask(message(security(token(kind=None)))), "//d:sum") == "5"

    @pytest.mark.parametrize(
        "header", [security(token(password="wrong")), security(token("eve")), security(digest("bob", "wrong"))]
    )
    def test_with_a_wrong_one_gets_failed_authentication(self, route: Guarded, header: str) -> None:
        answer = route.talker().ask(message(header))
        assert code(answer) == (WSSE, "FailedAuthentication")
        assert reason(answer) == "the user name or the password is wrong"
        answer = post(route, message(header))
        assert (answer.status, code(answer.root)) == (500, (WSSE, "FailedAuthentication"))

    def test_is_authenticated_each_time(self, route: Guarded) -> None:
        talker = route.talker()
        assert text(talker.ask(message(security())), "//d:sum") == "5"
        assert code(talker.ask(message(""))) == (WSSE, "InvalidSecurity")
        assert code(talker.ask(message(security(token(password="wrong"))))) == (WSSE, "FailedAuthentication")
        assert text(talker.ask(message(security())), "//d:sum") == "5"

    def test_of_soap_1_1_gets_the_code_itself(self, route: Guarded) -> None:
        answer = post(route, message("", namespace=OLD), "text/xml")
        assert code(answer.root) == (WSSE, "InvalidSecurity")
        assert "send one" in reason(answer.root)
        assert text(post(route, message(security(), namespace=OLD), "text/xml").root, "//d:sum") == "5"

    def test_that_is_no_envelope_gets_the_usual_fault(self, route: Guarded) -> None:
        assert code(route.talker().ask("<a/>"))[1] == "Sender"
        assert code(route.talker().ask(message(security(), namespace=OLD)))[1] == "VersionMismatch"

    def test_with_another_mandatory_header_is_not_understood(self, route: Guarded) -> None:
        other = '<x:Other xmlns:x="urn:x" s:mustUnderstand="1"/>'
        assert code(route.talker().ask(message(security() + other)))[1] == "MustUnderstand"

    def test_without_a_message_id_is_answered_in_its_order(self, route: Guarded) -> None:
        route.daemon.pool.slow = True
        talker = route.talker()
        assert (
            talker.say(
                message(security(), name="").replace(
                    "<a:Action>", "<a:From><a:Address>urn:x</a:Address></a:From><a:Action>"
                )
            )
            == []
        )
        assert talker.say(message(security(), name="urn:uuid:2")) == []
        route.daemon.pool.catchUp()
        assert [text(each, "//a:RelatesTo") for each in talker.heard()] == ["", "urn:uuid:2"]


class TestWithoutTls:
    @pytest.mark.parametrize(
        "headers",
        [{}, {"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http"}],
        ids=["directly", "by a proxy", "by a proxy that says so"],
    )
    def test_no_password_is_taken(self, route: Guarded, headers: dict[str, str]) -> None:
        answer = route.talker(headers).ask(message(security()))
        assert code(answer) == (WSSE, "InvalidSecurity")
        assert reason(answer) == "this route takes passwords over TLS only; use wss:// or https://"
        assert route.daemon.pool.begun == 0

    def test_a_header_of_a_client_that_is_no_proxy_does_not_count(self, tmp_path: Path) -> None:
        route = guarded(tmp_path)
        route.daemon.site.trust = type(route.daemon.site.trust)((), "x-forwarded-for")
        assert code(route.talker().ask(message(security()))) == (WSSE, "InvalidSecurity")

    def test_unless_the_configuration_wants_that(self, tmp_path: Path) -> None:
        users = str(tmp_path / "users.htpasswd")
        route = guarded(tmp_path, Auth(methods=("basic",), htpasswd=users, basic_without_tls=True))
        assert text(route.talker({}).ask(message(security())), "//d:sum") == "5"


class TestAOneWayMessage:
    def test_is_processed(self, route: Guarded) -> None:
        assert route.talker().say(message(security(), NOTE, name="")) == []
        assert route.daemon.factories["/soap"].service.bound[4].function.__self__.notes == 1

    def test_that_is_refused_gets_no_fault(self, route: Guarded) -> None:
        with capturedLogs() as events:
            assert route.talker().say(message("", NOTE, name="")) == []
        assert {"soap.unauthenticated", "soap.unanswered"} <= {event.get("event") for event in events}

    def test_of_an_operation_with_an_answer_gets_one(self, route: Guarded) -> None:
        assert code(route.talker().ask(message("", ADD, name=""))) == (WSSE, "InvalidSecurity")


class TestAnswers:
    def test_have_a_timestamp(self, route: Guarded) -> None:
        for answer in (route.talker().ask(message(security())), post(route, message(security())).root):
            assert answer.xpath(CREATED) == at()
            assert answer.xpath(EXPIRES) == at(300)

    def test_faults_of_the_service_as_well(self, route: Guarded) -> None:
        body = f'<ReadFile xmlns="{DEMO}"><name>x</name></ReadFile>'
        answer = route.talker().ask(message(security(), body))
        assert (code(answer)[1], answer.xpath(CREATED)) == ("Sender", at())

    def test_faults_of_security_have_one_on_a_websocket(self, route: Guarded) -> None:
        """Without one, WCF would end the channel."""
        assert route.talker().ask(message("")).xpath(CREATED) == at()

    def test_and_none_over_http(self, route: Guarded) -> None:
        """WCF's servers send none, and its clients raise a MessageSecurityException for them."""
        assert post(route, message("")).root.xpath(CREATED) == ""

    def test_that_are_empty_stay_empty(self, route: Guarded) -> None:
        assert post(route, message(security(), NOTE)).status == 202

    def test_pushed_messages_have_one_too(self, route: Guarded) -> None:
        body = f'<Watch xmlns="{DEMO}"><symbol>WSD</symbol><quotes>1</quotes></Watch>'
        talker = route.talker()
        talker.ask(message(security(), body))
        route.daemon.reactor.advance(1)
        (quote,) = talker.heard()
        assert (text(quote, "//d:symbol"), quote.xpath(CREATED)) == ("WSD", at())

    def test_are_addressed_as_always(self, route: Guarded) -> None:
        answer = route.talker().ask(message(security()))
        assert text(answer, "//a:RelatesTo") == "urn:uuid:1"
        assert text(answer, "//a:Action") == f"{DEMO}:Demonstration:AddResponse"


class TestADigest:
    def test_is_verified_by_a_password_in_the_clear(self, route: Guarded) -> None:
        assert text(route.talker().ask(message(security(digest("bob")))), "//d:sum") == "5"

    def test_not_by_a_hash_which_looks_like_a_wrong_password(self, route: Guarded) -> None:
        answer = route.talker().ask(message(security(digest("ann"))))
        assert code(answer) == (WSSE, "FailedAuthentication")
        assert reason(answer) == "the user name or the password is wrong"

    def test_is_unsupported_where_all_passwords_are_hashes(self, route: Guarded, tmp_path: Path) -> None:
        path = tmp_path / "users.htpasswd"
        path.write_text(path.read_text().partition("\n")[0])
        answer = route.talker().ask(message(security(digest("ann"))))
        assert code(answer) == (WSSE, "UnsupportedSecurityToken")
        assert "send PasswordText" in reason(answer)

    def test_counts_once(self, route: Guarded) -> None:
        said = message(security(digest("bob")))
        assert text(route.talker().ask(said), "//d:sum") == "5"
        for answer in (route.talker().ask(said), post(route, said).root):
            assert code(answer) == (WSSE, "FailedAuthentication")
            assert "used before" in reason(answer)

    def test_another_nonce_counts_again(self, route: Guarded) -> None:
        talker = route.talker()
        for nonce in (b"1", b"2"):
            assert text(talker.ask(message(security(digest("bob", nonce=nonce)))), "//d:sum") == "5"

    def test_cannot_be_sent_again_when_its_nonce_is_forgotten(self, route: Guarded) -> None:
        said = message(security(digest("bob", created=at(299))))
        assert text(route.talker().ask(said), "//d:sum") == "5"
        route.pass_(601)
        assert code(route.talker().ask(said)) == (WSU, "MessageExpired")

    def test_a_wrong_one_does_not_use_its_nonce(self, route: Guarded) -> None:
        assert code(route.talker().ask(message(security(digest("bob", "wrong")))))[1] == "FailedAuthentication"
        assert text(route.talker().ask(message(security(digest("bob")))), "//d:sum") == "5"


class TestAHook:
    @staticmethod
    def route(tmp_path: Path, source: str) -> Guarded:
        (tmp_path / "decide.py").write_text(source)
        return guarded(tmp_path, Auth(methods=("hook",), hook=f"{tmp_path}/decide.py:decide"))

    def test_gets_the_password_as_if_it_were_basic(self, tmp_path: Path) -> None:
        route = self.route(
            tmp_path,
            "from wsd.auth.basic import credentialsOf\n"
            "def decide(request):\n    return {'ann': 'ann', 'x': True}.get(credentialsOf(request.head)[0])\n",
        )
        assert text(route.talker().ask(message(security())), "//d:sum") == "5"
        assert text(route.talker().ask(message(security(token("x")))), "//d:sum") == "5"
        assert code(route.talker().ask(message(security(token("eve"))))) == (WSSE, "FailedAuthentication")

    def test_not_the_authorization_of_the_handshake(self, tmp_path: Path) -> None:
        route = self.route(
            tmp_path, "def decide(request):\n    return 'ann' if request.head.headers.get('Authorization') else None\n"
        )
        talker = route.talker({**PROXY, "Authorization": "Basic YW5uOnNlY3JldA=="})
        assert code(talker.ask(message(security(digest())))) == (WSSE, "FailedAuthentication")

    def test_decides_about_a_digest(self, tmp_path: Path) -> None:
        route = self.route(
            tmp_path,
            "def decide(request):\n    digest = request.digest\n"
            f"    return digest.user if digest is not None and digest.isOf({SECRET!r}) else None\n",
        )
        assert text(route.talker().ask(message(security(digest("eve")))), "//d:sum") == "5"
        assert code(route.talker().ask(message(security(digest("eve", "wrong"))))) == (WSSE, "FailedAuthentication")

    def test_that_fails_is_the_receivers_fault(self, tmp_path: Path) -> None:
        route = self.route(tmp_path, "def decide(request):\n    return 1 // 0\n")
        with capturedLogs():
            answer = route.talker().ask(message(security()))
        assert code(answer)[1] == "Receiver"
        assert "try again" in reason(answer)


class TestThePasswords:
    def test_are_hashed_on_the_pool_while_others_are_answered(self, route: Guarded) -> None:
        route.daemon.pool.slow = True
        talker = route.talker()
        assert talker.say(message(security())) == []
        assert route.daemon.pool.begun == 1
        assert text(talker.ask(message(security(digest("bob")), name="urn:uuid:2")), "//d:sum") == "5"
        route.daemon.pool.catchUp()
        assert [text(each, "//a:RelatesTo") for each in talker.heard()] == ["urn:uuid:1"]

    def test_that_were_right_are_hashed_once(self, route: Guarded) -> None:
        talker = route.talker()
        for number in range(5):
            talker.ask(message(security(), name=f"urn:uuid:{number}"))
        assert route.daemon.pool.begun == 1

    def test_that_are_too_many_are_the_receivers_fault(self, route: Guarded) -> None:
        route.daemon.pool.slow = True
        talkers = [route.talker() for _ in range(5)]
        answers = []
        for number in range(210):
            answers += talkers[number % 5].say(message(security(token(password=f"{number}")), name=f"urn:{number}"))
        assert {code(answer)[1] for answer in answers} == {"Receiver"}
        assert len(answers) == 8

    def test_a_client_that_leaves_waits_for_nothing(self, route: Guarded) -> None:
        route.daemon.pool.slow = True
        talker = route.talker()
        talker.say(message(security(), NOTE))
        talker.client.wire.transport.connectionLost(Failure(ConnectionDone()))
        route.daemon.pool.catchUp()
        assert route.daemon.connections == []
        assert route.daemon.factories["/soap"].service.bound[4].function.__self__.notes == 0


class Who(SoapFactory):
    """Tells in an answer who has asked."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        assert self.service is not None
        bound = self.service.bound[0]
        bound.function, bound.wantsCall = self._echo, True

    @staticmethod
    def _echo(text: str, call: Call) -> str:
        return f"{call.user}: {text}"


ECHO = f'<Echo xmlns="{DEMO}"><text>hi</text></Echo>'


class TestTheUser:
    def test_is_that_of_each_call(self, tmp_path: Path) -> None:
        route = guarded(tmp_path, factory=Who)
        talker = route.talker()
        for user in ("ann", "bob", "ann"):
            assert text(talker.ask(message(security(token(user)), ECHO)), "//d:text") == f"{user}: hi"
        assert text(post(route, message(security(token("bob")), ECHO)).root, "//d:text") == "bob: hi"

    def test_is_in_the_log_and_the_password_is_not(self, route: Guarded) -> None:
        with capturedLogs() as events:
            talker = route.talker()
            for user in ("ann", "ann", "bob"):
                talker.ask(message(security(token(user))))
            talker.ask(message(security(token(password="hunter2"))))
            talker.client.close()
            post(route, message(security(token("bob"))))
        assert [event["user"] for event in events if event.get("event") == "soap.user"] == ["ann", "bob"]
        (closed,) = [event for event in events if event.get("event") == "connection.closed"]
        (answered,) = [event for event in events if event.get("event") == "request.answered"]
        assert (closed["user"], answered["user"]) == ("bob", "bob")
        (refused,) = [event for event in events if event.get("event") == "soap.unauthenticated"]
        assert refused["sentence"] == "the user name or the password is wrong"
        assert not any(SECRET in str(event) or "hunter2" in str(event) for event in events)

    def test_is_counted_by_its_method(self, route: Guarded) -> None:
        talker = route.talker()
        talker.ask(message(security()))
        talker.ask(message(security(token(password="wrong"))))
        counted = route.daemon.metrics.authentications
        assert {key: counted[key] for key in counted if counted[key]} == {
            ("basic", "accepted"): 1,
            ("basic", "rejected"): 1,
        }


class TestTheRoute:
    def test_lets_everyone_open_a_websocket_and_read_the_contract(self, route: Guarded) -> None:
        assert route.talker({}).client.protocol.subprotocol == "soap"
        assert ask(route.daemon, "GET /soap?wsdl").status == 200

    def test_shows_samples_with_a_user_and_a_password_to_fill_in(self, route: Guarded) -> None:
        page = etree.fromstring(ask(route.daemon, "GET /soap").body, etree.HTMLParser())
        shown = page.xpath("string(//article[@id = 'Add']//pre[@class = 'sample'])")
        filled = shown.replace(">username<", ">ann<").replace(">password<", f">{SECRET}<")
        assert text(route.talker().ask(filled), "//a:RelatesTo")

    def test_must_have_no_other_protocol(self, tmp_path: Path) -> None:
        (tmp_path / "users").write_text(f"ann:{hashed()}\n")
        route = 'protocol = { "" = "echo", soap = "soap" }\nusername_token = true\nauth.methods = ["basic"]'
        text = f'[route."/x"]\n{route}\nauth.htpasswd = "{tmp_path}/users"\n'
        (fault,) = check(parse(text, optionsOf), Clock(), {"STATE_DIRECTORY": str(tmp_path)}).faults
        assert 'route."/x".username_token: the route must have the protocol soap alone' in fault

    @pytest.mark.parametrize(
        ("auth", "words"),
        [
            (Auth(), "basic"),
            (Auth(methods=("mtls",)), "basic"),
            (Auth(methods=("hook",), hook="http://127.0.0.1:1/", hook_headers=("cookie",)), "authorization"),
        ],
        ids=["open", "no password", "a hook that gets none"],
    )
    def test_needs_a_method_that_judges_passwords(self, tmp_path: Path, auth: Auth, words: str) -> None:
        with pytest.raises(ConfigError, match=words) as caught:
            guarded(tmp_path, auth)
        assert caught.value.key == "username_token"
