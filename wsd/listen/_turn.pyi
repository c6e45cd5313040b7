import select

from wsd.listen.ring import OnOtherEvent, Source

def turn(epoll: select.epoll, sources: dict[int, Source], onOtherEvent: OnOtherEvent) -> None: ...
