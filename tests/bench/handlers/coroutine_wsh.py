"""Echoes, as a coroutine."""


def web_socket_do_extra_handshake(request):
    pass


async def web_socket_transfer_data(request):
    async for message in request.ws_stream:
        await request.ws_stream.send_message(message, binary=isinstance(message, bytes))
