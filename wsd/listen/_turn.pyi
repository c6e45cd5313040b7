import select

from wsd.listen.ring import Other, Source

def turn(epoll: select.epoll, sources: dict[int, Source], other: Other) -> None: ...
