# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""_turn: reads from the connections that are ready, in C; `wsd.listen.ring` has the same in Python."""

from cpython.object cimport PyObject
from libc.errno cimport EINTR, errno
from libc.math cimport ceil
from libc.stdint cimport uint32_t

cdef extern from "Python.h":
    object PyObject_CallNoArgs(object called)
    PyObject* PyDict_GetItemWithError(object mapping, object key) except? NULL

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_wait(int descriptor, epoll_event* events, int most, int timeout)
    int EPOLLIN

cdef enum:
    MOST = 256


def isNext(poller, int descriptor, double seconds):
    """Wait for an event of the reactor, as `wsd.listen.ring.pythonIsNext` does."""
    cdef epoll_event[2] events
    cdef int fileno = poller.fileno(), count
    with nogil:
        # A signal is handled by the reactor, as any other event.
        count = epoll_wait(fileno, events, 2, <int>ceil(1000 * seconds))
    return count == 1 and events[0].data.fd == descriptor and events[0].events == EPOLLIN


def turn(epoll, dict sources, dict reads, onOtherEvent, int most):
    """Read from at most so many of the sources that are ready, as `wsd.listen.ring.pythonTurn` does."""
    cdef epoll_event[MOST] events
    cdef PyObject* found
    cdef int count = epoll_wait(epoll.fileno(), events, min(most, MOST), 0), index
    if count < 0 and errno != EINTR:
        raise OSError(errno, "epoll_wait")
    for index in range(count):
        found = PyDict_GetItemWithError(sources, events[index].data.fd)
        if found == NULL:
            continue
        source = <object>found
        if events[index].events != EPOLLIN:
            onOtherEvent(source, events[index].events, None)
            continue
        try:
            why = PyObject_CallNoArgs(reads[events[index].data.fd])
        except Exception as raised:
            why = raised
        if why is not None:
            onOtherEvent(source, EPOLLIN, why)
    return max(count, 0)
