"""
Envelope: its version, the header blocks for this node, its addressing, and the element in its Body.

SOAP 1.2 part 1 (2.4 to 2.6, 5), SOAP 1.1 (4), WS-Addressing 1.0 Core and SOAP Binding.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from wsd.protocols.soap.faults import Fault, bodyOf, headersOf, legible
from wsd.protocols.soap.names import (
    ANONYMOUS,
    BY_NAMESPACE,
    NONE,
    SOAP11,
    SOAP12,
    WSA,
    WSSE,
    Version,
    localName,
    splitTag,
)

_WSA = f"{{{WSA}}}"
_ADDRESS = f"{_WSA}Address"
_TEXTS = {f"{_WSA}{name}": name for name in ("Action", "To", "MessageID", "RelatesTo")}
_ENDPOINTS = {f"{_WSA}{name}": name for name in ("ReplyTo", "FaultTo", "From")}
_SECURITY = f"{{{WSSE}}}Security"
_TRUE = ("1", "true")
_REACHABLE = ("", ANONYMOUS, NONE)
"""The addresses to which an answer can be sent: those of the connection and of nobody."""
_MOST_BLOCKS = 500
"""Limit of the blocks in a Header. With thousands of them the garbage collector takes too long."""


@dataclass(slots=True)
class Addressing:
    """The message addressing properties in a Header (WS-Addressing Core, 3.1); "" for one that is not there."""

    Action: str = ""
    To: str = ""
    MessageID: str = ""
    RelatesTo: str = ""
    ReplyTo: str = ""
    FaultTo: str = ""
    From: str = ""
    used: bool = False
    """Whether the message has any of them."""


@dataclass(slots=True)
class Envelope:
    """
    A message that was read.

    A message that must be refused has a `fault`. Its addressing is what could be read, for the header of the fault.
    """

    version: Version
    """The version of SOAP to answer in."""
    addressing: Addressing
    body: Any = None
    """The one element in the Body, or None."""
    fault: Fault | None = None
    isOneWay: bool = False
    """Whether its sender expects nothing back, not even a fault."""


def readEnvelope(root: Any, spoken: Version) -> Envelope:
    """Reads a message for this node, and checks that mandatory header blocks are understood (SOAP 1.2 part 1, 2.6)."""
    addressing = Addressing()
    try:
        _checkVersion(root, spoken)
        header, body = _partsOf(root, spoken)
        if header is not None:
            _readHeader(header, spoken, addressing)
        return Envelope(spoken, addressing, _elementIn(body))
    except Fault as fault:
        return Envelope(_answerVersion(root, spoken), addressing, fault=fault)


def readWithout(root: Any, spoken: Version, addressing: Addressing) -> Envelope:
    """Reads a message whose header is known, and was taken out of it."""
    try:
        _, body = _partsOf(root, spoken, hasHeader=True)
    except Fault as fault:
        return Envelope(spoken, Addressing(), fault=fault)
    try:
        return Envelope(spoken, addressing, _elementIn(body))
    except Fault as fault:
        return Envelope(spoken, addressing, fault=fault)


def readRelayed(root: Any, spoken: Version) -> Envelope:
    """Reads the addressing of a message for another node, which checks the header blocks itself."""
    addressing = Addressing()
    try:
        _checkVersion(root, spoken)
        if root.find(spoken.body) is None:
            raise Fault("the Envelope has no Body")
    except Fault as fault:
        return Envelope(_answerVersion(root, spoken), addressing, fault=fault)
    for block in root.iterfind(f"{spoken.header}/*"):
        # The other node answers with the fault for a wrong block.
        with suppress(Fault):
            _readAddressing(block, addressing)
    return Envelope(spoken, addressing)


def _checkVersion(root: Any, spoken: Version) -> None:
    """Raises `Fault`: VersionMismatch (SOAP 1.2 part 1, 5.4.7), or Sender if the message is not an envelope."""
    if root.tag == spoken.envelope:
        return
    namespace, local = splitTag(root.tag)
    if local != "Envelope":
        raise Fault(f"the message is a {local[:80]}; it must be an Envelope of SOAP {spoken.number}")
    known = BY_NAMESPACE.get(namespace)
    what = f"of SOAP {known.number}" if known else f"in the namespace {namespace[:200]!r}"
    raise Fault(
        f"the Envelope is {what}; SOAP {spoken.number} was agreed on, with the namespace {spoken.namespace}",
        "VersionMismatch",
    )


def _answerVersion(root: Any, spoken: Version) -> Version:
    """Returns the version for a fault: 1.1 for a sender of 1.1 (SOAP 1.2 part 1, appendix A)."""
    return SOAP11 if root.tag.startswith(f"{{{SOAP11.namespace}}}") else spoken


def _partsOf(root: Any, version: Version, hasHeader: bool = False) -> tuple[Any, Any]:
    """Returns the Header and the Body, None for one that is missing. Raises `Fault` for any other element."""
    header, body = None, None
    for part in root:
        name = part.tag
        if name == version.body and body is None:
            body = part
        elif name == version.header and header is None and body is None and not hasHeader:
            header = part
        elif body is None or version is SOAP12:
            raise Fault(f"{localName(name)[:80]} is not allowed here: an Envelope has an optional Header and a Body")
    return header, body


def _elementIn(body: Any) -> Any:
    """Returns the one element in a Body, None for an empty Body. Raises `Fault`."""
    if body is None:
        raise Fault("the Envelope has no Body")
    if len(body) > 1:
        raise Fault("the Body has more than one element; one message is one request")
    return body[0] if len(body) else None


def _readHeader(header: Any, version: Version, addressing: Addressing) -> None:
    """
    Reads the header blocks for this node into `addressing`. Raises `Fault`.

    All addressing is read before a fault is raised, so that the fault can be addressed.
    """
    if len(header) > _MOST_BLOCKS:
        raise Fault(f"a Header has at most {_MOST_BLOCKS} blocks")
    error: Fault | None = None
    withAttributes = []
    for block in header:
        # Most blocks have no attributes: they are for this node, and not mandatory.
        if block.keys():
            if not isForUs(block, version):
                continue
            withAttributes.append(block)
        try:
            _readAddressing(block, addressing)
        except Fault as fault:
            error = error or fault
    if withAttributes:
        _checkUnderstood(withAttributes, version)
    if error is not None:
        raise error
    _checkAddressing(addressing)


def _checkUnderstood(blocks: list[Any], version: Version) -> None:
    """Raises `Fault` if a mandatory block is not understood (SOAP 1.2 part 1, 5.4.8)."""
    missed = tuple(each.tag for each in blocks if _isMandatory(each, version) and not isAddressing(each.tag))
    if missed:
        raise Fault(_missed(missed), "MustUnderstand", notUnderstood=missed)


def _checkAddressing(addressing: Addressing) -> None:
    """Raises `Fault` if the Action is missing, or if answers must go to another address (SOAP Binding, 6.4)."""
    if addressing.used and not addressing.Action:
        raise Fault("the header has no wsa:Action", subcode="MessageAddressingHeaderRequired")
    for name in ("ReplyTo", "FaultTo"):
        if getattr(addressing, name) not in _REACHABLE:
            # Answers go back on this connection. The server opens no connection on behalf of a client.
            setattr(addressing, name, "")
            raise Fault(f"wsa:{name} must be anonymous or none here", subcode="OnlyAnonymousAddressSupported")


def _missed(missed: tuple[str, ...]) -> str:
    if _SECURITY in missed:
        return (
            "this route takes no WS-Security: the mandatory header wsse:Security was not understood; "
            "use the security mode Transport (wss) or None, and no message credentials"
        )
    return f"a mandatory header was not understood: {', '.join(missed)[:400]}"


def isForUs(block: Any, version: Version) -> bool:
    """Returns whether a block's role is one of this node's (SOAP 1.2 part 1, 2.2)."""
    role = block.get(version.role)
    return not role or role in (version.next, version.ultimate)


def _isMandatory(block: Any, version: Version) -> bool:
    """Returns the value of mustUnderstand (SOAP 1.2 part 1, 5.2.3). Raises `Fault` if it is no boolean."""
    value = block.get(version.mandatory)
    if value is None:
        return False
    value = value.strip()
    if value in ("0", "false") or value in _TRUE:
        return value in _TRUE
    raise Fault(f"mustUnderstand is {value[:20]!r}; it must be 1 or 0")


def isAddressing(tag: str) -> bool:
    """Returns whether a header block is one of WS-Addressing, which are all that are understood."""
    return tag in _TEXTS or tag in _ENDPOINTS


def _readAddressing(block: Any, addressing: Addressing) -> None:
    """Reads a header block into `addressing`, if it is one of WS-Addressing. Raises `Fault`."""
    name = _TEXTS.get(block.tag)
    if name is not None:
        value = (block.text or "").strip()
    else:
        name = _ENDPOINTS.get(block.tag)
        if name is None:
            return
        # A loop takes a third of the time of `find`.
        value = next(((each.text or "").strip() for each in block if each.tag == _ADDRESS), "")
    if name == "RelatesTo" and addressing.RelatesTo:
        return
    addressing.used = True
    if getattr(addressing, name):
        raise Fault(f"the header has wsa:{name} twice", subcode="InvalidAddressingHeader")
    if not value:
        raise Fault(f"wsa:{name} is empty", subcode="InvalidAddressingHeader")
    setattr(addressing, name, value)


# -- writing ----------------------------------------------------------------------------------------------------------


def write(
    version: Version, body: str, action: str = "", relatesTo: str = "", messageId: str = "", more: str = ""
) -> str:
    """
    Returns an envelope; with an action it is addressed.

    `body` and the header blocks `more` are XML that may use the prefixes s (the envelope's) and a (WS-Addressing).
    """
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
    """Returns the envelope of a fault; it is addressed if the request was."""
    action = fault.action if addressing.used else ""
    return write(version, bodyOf(fault, version), action, addressing.MessageID, more=headersOf(fault, version))


def newMessageId() -> str:
    """Returns a MessageID for a message that the server sends."""
    return f"urn:uuid:{uuid4()}"
