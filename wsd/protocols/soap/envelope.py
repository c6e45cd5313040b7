"""
One envelope: its version, the header blocks that are for us, its addressing, and what is in its Body.

SOAP 1.2 part 1 (2.4 to 2.6, 5), SOAP 1.1 (4), WS-Addressing 1.0 Core and SOAP Binding.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from wsd.protocols.soap.faults import Fault, bodyOf, headersOf, legible
from wsd.protocols.soap.names import ANONYMOUS, BY_NAMESPACE, NONE, SOAP11, SOAP12, WSA, WSSE, Version

_WSA = f"{{{WSA}}}"
_ADDRESS = f"{_WSA}Address"
_TEXTS = {f"{_WSA}{name}": name for name in ("Action", "To", "MessageID", "RelatesTo")}
_ENDPOINTS = {f"{_WSA}{name}": name for name in ("ReplyTo", "FaultTo", "From")}
_SECURITY = f"{{{WSSE}}}Security"
_TRUE = ("1", "true")
_MOST_BLOCKS = 500
"""In a Header: with thousands it is the collection of garbage that takes its time."""


@dataclass(slots=True)
class Addressing:
    """What the header blocks of WS-Addressing say; "" for what they do not."""

    Action: str = ""
    To: str = ""
    MessageID: str = ""
    RelatesTo: str = ""
    ReplyTo: str = ""
    FaultTo: str = ""
    From: str = ""
    used: bool = False
    """Whether there are any."""


@dataclass(slots=True)
class Envelope:
    """A message as it came."""

    version: Version
    body: Any
    """The one element in the Body, or None."""
    addressing: Addressing = field(default_factory=Addressing)


def versionOf(root: Any, spoken: Version) -> Version:
    """
    The version that is spoken, when this is an envelope of it.

    Raises `Fault`: VersionMismatch (SOAP 1.2 part 1, 5.4.7), or Sender for what is no envelope at all.
    """
    if root.tag == spoken.envelope:
        return spoken
    space, _, local = root.tag[1:].rpartition("}") if root.tag.startswith("{") else ("", "", root.tag)
    if local != "Envelope":
        raise Fault(f"the message is a {local[:80]}; it must be an Envelope of SOAP {spoken.number}")
    if space != spoken.namespace:
        known = BY_NAMESPACE.get(space)
        what = f"of SOAP {known.number}" if known else f"in the namespace {space[:200]!r}"
        raise Fault(
            f"the Envelope is {what}; SOAP {spoken.number} was agreed on, whose is {spoken.namespace}",
            "VersionMismatch",
        )
    return spoken


def answerVersion(root: Any, spoken: Version) -> Version:
    """What a fault is written in: the sender's own version where it has one (SOAP 1.2 part 1, appendix A)."""
    return SOAP11 if root.tag.startswith(f"{{{SOAP11.namespace}}}") else spoken


def readEnvelope(root: Any, spoken: Version, addressing: Addressing) -> Envelope:
    """
    A message, once its mandatory header blocks are understood; `addressing` is filled in as far as it could be read.

    Raises `Fault`.
    """
    version = versionOf(root, spoken)
    header, body = None, None
    for part in root:
        name = part.tag
        if name == version.body and body is None:
            body = part
        elif name == version.header and header is None and body is None:
            header = part
        elif body is None or version is SOAP12:
            raise Fault(f"{_local(name)} is out of place: an Envelope is a Header, which may be left out, and a Body")
    if header is not None:
        _readHeader(header, version, addressing)
    if body is None:
        raise Fault("the Envelope has no Body")
    if len(body) > 1:
        raise Fault("the Body has more than one element; one message is one request")
    return Envelope(version, body[0] if len(body) else None, addressing)


def glance(root: Any, spoken: Version, addressing: Addressing) -> None:
    """
    Read what a message says of itself, for who passes it on: what must be understood is not looked at.

    Raises `Fault` for another version, and for what has no Body.
    """
    version = versionOf(root, spoken)
    if root.find(version.body) is None:
        raise Fault("the Envelope has no Body")
    for block in root.iterfind(f"{{{version.namespace}}}Header/*"):
        # What is wrong with it is for the one behind to say.
        with suppress(Fault):
            _readAddressing(block, addressing)


def _readHeader(header: Any, version: Version, addressing: Addressing) -> None:
    """Addressing is read first, so that a fault finds its way back; then what must be understood is looked at."""
    if len(header) > _MOST_BLOCKS:
        raise Fault(f"a Header has at most {_MOST_BLOCKS} blocks")
    error: Fault | None = None
    marked = []
    for block in header:
        # Most have no attribute at all: they are for us, and need not be understood.
        if block.keys():
            if not _isForUs(block, version):
                continue
            marked.append(block)
        try:
            _readAddressing(block, addressing)
        except Fault as fault:
            error = error or fault
    missed = tuple(block.tag for block in marked if _isMandatory(block, version) and not _isUnderstood(block.tag))
    if missed:
        raise Fault(_missed(missed), "MustUnderstand", notUnderstood=missed)
    if error is not None:
        raise error
    if addressing.used and not addressing.Action:
        raise Fault("the header has no wsa:Action", subcode="MessageAddressingHeaderRequired")
    for name in ("ReplyTo", "FaultTo"):
        address = getattr(addressing, name)
        if address not in ("", ANONYMOUS, NONE):
            # What is answered goes back on this connection; to call another for a client is no business of ours.
            setattr(addressing, name, "")
            raise Fault(f"wsa:{name} must be anonymous or none here", subcode="OnlyAnonymousAddressSupported")


def _missed(missed: tuple[str, ...]) -> str:
    if _SECURITY in missed:
        return (
            "WS-Security is not spoken here: the header wsse:Security must be understood and is not; "
            "use the security mode Transport (wss) or None, and no message credentials"
        )
    return f"a header must be understood and is not: {', '.join(missed)[:400]}"


def _isForUs(block: Any, version: Version) -> bool:
    role = block.get(version.role)
    return not role or role in (version.next, version.ultimate)


def _isMandatory(block: Any, version: Version) -> bool:
    value = block.get(version.mandatory)
    if value is None:
        return False
    value = value.strip()
    if value in ("0", "false") or value in _TRUE:
        return value in _TRUE
    raise Fault(f"mustUnderstand is {value[:20]!r}; it must be 1 or 0")


def _isUnderstood(tag: str) -> bool:
    return tag in _TEXTS or tag in _ENDPOINTS


def _readAddressing(block: Any, addressing: Addressing) -> None:
    name = _TEXTS.get(block.tag)
    if name is not None:
        value = (block.text or "").strip()
    else:
        name = _ENDPOINTS.get(block.tag)
        if name is None:
            return
        found = block.find(_ADDRESS)
        value = "" if found is None else (found.text or "").strip()
    if name == "RelatesTo" and addressing.RelatesTo:
        return
    addressing.used = True
    if getattr(addressing, name):
        raise Fault(f"the header has wsa:{name} twice", subcode="InvalidAddressingHeader")
    if not value:
        raise Fault(f"wsa:{name} is empty", subcode="InvalidAddressingHeader")
    setattr(addressing, name, value)


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2][:80]


# -- writing ----------------------------------------------------------------------------------------------------------


def write(
    version: Version, body: str, action: str = "", relatesTo: str = "", messageId: str = "", more: str = ""
) -> str:
    """An envelope; with an action it is addressed. `body` and `more`, header blocks, are XML that uses s and a."""
    blocks = more
    if action:
        blocks += f"<a:Action>{legible(action)}</a:Action>"
        if messageId:
            blocks += f"<a:MessageID>{messageId}</a:MessageID>"
        if relatesTo:
            blocks += f"<a:RelatesTo>{legible(relatesTo)}</a:RelatesTo>"
    header = f"<s:Header>{blocks}</s:Header>" if blocks else ""
    return f'<s:Envelope xmlns:s="{version.namespace}" xmlns:a="{WSA}">{header}<s:Body>{body}</s:Body></s:Envelope>'


def writeFault(version: Version, fault: Fault, addressing: Addressing) -> str:
    """The envelope of a fault; it is addressed where the request was."""
    action = fault.action if addressing.used else ""
    return write(version, bodyOf(fault, version), action, addressing.MessageID, more=headersOf(fault, version))


def newMessageId() -> str:
    """A name for a message of ours."""
    return f"urn:uuid:{uuid4()}"
