"""The processors of extensions in `request.ws_extension_processors`, which a handler may change or remove."""

from __future__ import annotations

from wsd.protocols.pywebsocket.api import common

_SERVER_BITS = "server_max_window_bits"
_SERVER_RESETS = "server_no_context_takeover"
_CLIENT_BITS = "client_max_window_bits"
_CLIENT_RESETS = "client_no_context_takeover"
_BITS = tuple(str(bits) for bits in range(9, 16))
"""The windows for compression; zlib's smallest is 9 bits."""


class ExtensionProcessorInterface:
    """An offered extension, and the answer to the offer."""

    def __init__(self, request: common.ExtensionParameter) -> None:
        self._request = request
        self._active = True

    def request(self) -> common.ExtensionParameter:
        """Returns the offer."""
        return self._request

    def name(self) -> str | None:
        """Returns the processor's name."""
        return None

    def set_active(self, active: bool) -> None:
        """Whether the extension is used."""
        self._active = active

    def is_active(self) -> bool:
        """Whether the extension is used."""
        return self._active

    def get_extension_response(self) -> common.ExtensionParameter | None:
        """Returns the answer; None declines the offer."""
        return None


class PerMessageDeflateExtensionProcessor(ExtensionProcessorInterface):
    """permessage-deflate (RFC 7692)."""

    compresses = True
    """Whether what is sent is compressed."""

    def __init__(self, request: common.ExtensionParameter) -> None:
        super().__init__(request)
        self.clientBits: int | None = None
        self.clientResets = False

    def name(self) -> str:
        """Returns "deflate", the name by which handlers look for it."""
        return "deflate"

    def get_extension_response(self) -> common.ExtensionParameter | None:
        """Returns the answer, with parameters in the order of pywebsocket's; None declines the offer (RFC 7692 7.1)."""
        offer = self._request
        names = offer.get_parameter_names()
        if (
            not self._active
            or len(set(names)) < len(names)
            or set(names) - {_SERVER_BITS, _SERVER_RESETS, _CLIENT_BITS}
        ):
            return None
        bits, clientBits = offer.get_parameter_value(_SERVER_BITS), offer.get_parameter_value(_CLIENT_BITS)
        if _SERVER_BITS in names and bits not in _BITS:
            return None
        if clientBits not in (None, "8", *_BITS) or offer.get_parameter_value(_SERVER_RESETS) is not None:
            return None
        if self.clientBits is not None and _CLIENT_BITS not in names:
            return None
        answer = common.ExtensionParameter(offer.name())
        if bits is not None:
            answer.add_parameter(_SERVER_BITS, bits)
        if _SERVER_RESETS in names:
            answer.add_parameter(_SERVER_RESETS, None)
        if self.clientBits is not None:
            answer.add_parameter(_CLIENT_BITS, str(self.clientBits))
        if self.clientResets:
            answer.add_parameter(_CLIENT_RESETS, None)
        return answer

    def set_client_max_window_bits(self, value: int) -> None:
        """Limit the client's window to so many bits. An offer that does not allow that is declined."""
        self.clientBits = value

    def set_client_no_context_takeover(self, value: bool) -> None:
        """Have the client compress each message without the context of earlier ones."""
        self.clientResets = value

    def enable_outgoing_compression(self) -> None:
        """Compress what is sent."""
        self.compresses = True

    def disable_outgoing_compression(self) -> None:
        """Send messages uncompressed."""
        self.compresses = False


def get_extension_processor(extension_request: common.ExtensionParameter) -> ExtensionProcessorInterface | None:
    """Returns the processor of an offered extension; None if the extension is unknown."""
    if extension_request.name() == common.PERMESSAGE_DEFLATE_EXTENSION:
        return PerMessageDeflateExtensionProcessor(extension_request)
    return None
