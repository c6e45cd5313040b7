"""Messages with a UsernameToken, and a daemon that asks for them, in memory."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.auth.helpers import SECRET, hashed
from tests.protocols.soap.talk import DEMO, S11, WSA, Talker
from tests.wire import Daemon
from wsd.config import Config
from wsd.config.auth import Auth
from wsd.protocols.soap.names import WSSE, WSU
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.protocol import SoapFactory

PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
"""What the clock of a daemon shows in these tests."""
DECLARED = f'xmlns:o="{WSSE}" xmlns:u="{WSU}"'
PROXY = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
"""What a trusted proxy tells of a client that uses TLS."""
ADD = f'<Add xmlns="{DEMO}"><a>2</a><b>3</b></Add>'
NOTE = f'<Note xmlns="{DEMO}"><text>hi</text></Note>'


def at(seconds: float = 0) -> str:
    """A time as WCF writes it, so many seconds after now."""
    return datetime.fromtimestamp(NOW + seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp(created: str = at(), expires: str = at(300)) -> str:
    return f"<u:Timestamp><u:Created>{created}</u:Created><u:Expires>{expires}</u:Expires></u:Timestamp>"


def token(user: str = "ann", password: str = SECRET, more: str = "", kind: str | None = "PasswordText") -> str:
    """A UsernameToken with a password, as WCF writes it; without a `kind` it has no Type."""
    told = "" if kind is None else f' Type="{PROFILE}#{kind}"'
    return (
        f"<o:UsernameToken><o:Username>{user}</o:Username><o:Password{told}>{password}</o:Password>{more}"
        "</o:UsernameToken>"
    )


def digest(user: str = "ann", password: str = SECRET, nonce: bytes = b"0123456789abcdef", created: str = at()) -> str:
    """A UsernameToken with a PasswordDigest."""
    made = b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    more = f"<o:Nonce>{b64encode(nonce).decode()}</o:Nonce><u:Created>{created}</u:Created>"
    return token(user, made, more, "PasswordDigest")


def security(*parts: str, mandatory: bool = True) -> str:
    """A Security header, by default with a Timestamp and the right password."""
    content = "".join(parts or (timestamp(), token()))
    needed = ' s:mustUnderstand="1"' if mandatory else ""
    return f"<o:Security {DECLARED}{needed}>{content}</o:Security>"


def message(header: str, body: str = ADD, name: str = "urn:uuid:1", namespace: str | None = None) -> str:
    """An addressed envelope; without a `name` it has no MessageID."""
    operation = body[1 : body.index(" ")]
    identity = f"<a:MessageID>{name}</a:MessageID>" if name else ""
    suffix = "" if operation == "Note" else "Request"
    action = f"<a:Action>{DEMO}:Demonstration:{operation}{suffix}</a:Action>{identity}"
    envelope = namespace or "http://www.w3.org/2003/05/soap-envelope"
    return (
        f'<s:Envelope xmlns:s="{envelope}" xmlns:a="{WSA}"><s:Header>{action}{header}</s:Header>'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    )


class Guarded(NamedTuple):
    """A daemon whose route /soap asks for a UsernameToken, and its clock."""

    daemon: Daemon
    pass_: Callable[[float], None]

    def talker(self, headers: dict[str, str] | None = None, **named: Any) -> Talker:
        """A WebSocket, over TLS by default."""
        talker = Talker.__new__(Talker)
        given = PROXY if headers is None else headers
        talker.client = self.daemon.open("/soap", subprotocols=["soap"], headers=given, **named)
        return talker


def guarded(folder: Path, auth: Auth | None = None, factory: type[SoapFactory] = SoapFactory, **keys: Any) -> Guarded:
    """A daemon with ann, whose password is stored as a hash, and bob, whose password is stored in the clear."""
    path = folder / "users.htpasswd"
    path.write_text(f"ann:{hashed()}\nbob:{{CLEARTEXT}}{SECRET}\n")
    path.chmod(0o600)
    known = auth or Auth(methods=("basic",), htpasswd=str(path))
    daemon = Daemon(
        {"/soap": factory},
        config=Config(trusted_proxies=("127.0.0.1",)),
        options=SoapOptions(username_token=True, **keys),
        auth=known,
    )
    passed = [0.0]

    def pass_(seconds: float) -> None:
        passed[0] += seconds

    daemon.factories["/soap"].now = lambda: NOW + passed[0]
    return Guarded(daemon, pass_)


def code(root: Any) -> tuple[str, str]:
    """The namespace and the local name of the innermost code of a fault."""
    nodes = root.xpath("//*[local-name() = 'Subcode']/*[local-name() = 'Value'] | //faultcode")
    nodes = nodes or root.xpath("//*[local-name() = 'Code']/*[local-name() = 'Value']")
    prefix, _, local = nodes[0].text.partition(":")
    return nodes[0].nsmap[prefix], local


def reason(root: Any) -> str:
    return str(root.xpath("string(//*[local-name() = 'Reason'] | //faultstring)")).strip()


OLD = S11
