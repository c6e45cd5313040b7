import select

from wsd.listen.ring import OnOtherEvent, Read, Source

def turn(
    epoll: select.epoll, sources: dict[int, Source], reads: dict[int, Read], onOtherEvent: OnOtherEvent, most: int
) -> int: ...
def isNext(poller: select.epoll, descriptor: int, seconds: float) -> bool: ...
