# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""
_fast: reads and writes messages of a single frame in C, as nearly all are.

Anything else is passed on, from the first byte of its frame, to the plane in Python (`wsd.frames.fast`). On a socket
without TLS, this plane reads and sends by itself.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from wsd.frames.deflate import InflateError
from wsd.frames.fast import TURN, TURN_SECONDS, Fast
from wsd.frames.large import AT_ONCE
from wsd.frames.unread import Unread, maskedHead
from wsd.frames.writing import LEAST_DEFLATED

cdef extern from "Python.h":
    PyObject* PyList_GetItem(object pieces, Py_ssize_t index) except NULL
    int _PyBytes_Resize(PyObject** string, Py_ssize_t size) except -1
    PyObject* newBytes "PyBytes_FromStringAndSize"(const char* value, Py_ssize_t size) except NULL
    char* bytesOf "PyBytes_AS_STRING"(PyObject* string)

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int descriptor, void* buffer, size_t size, int flags)
    ssize_t send(int descriptor, const void* buffer, size_t size, int flags)
    cdef struct iovec:
        void* iov_base
        size_t iov_len
    cdef struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int descriptor, const msghdr* message, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef extern from "time.h" nogil:
    ctypedef long time_t
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* found)
    int CLOCK_MONOTONIC

cdef extern from "payload.h" nogil:
    void unmask(uint8_t* to, const uint8_t* data, size_t size, uint32_t mask, size_t offset)
    uint32_t checkText(uint32_t state, const uint8_t* text, size_t size)
    uint32_t NOT_TEXT


cdef extern from *:
    int __builtin_clzll(unsigned long long value) nogil

cdef enum:
    OPEN = 3
    BUCKETS = 9          # of message sizes: those of `wsd.metrics.SIZES`, and larger ones
    TEXT = 0x81
    BINARY = 0x82
    DEFLATED_TEXT = 0xC1
    DEFLATED_BINARY = 0xC2
    PING = 0x89
    PONG = 0x8A
    RSV1 = 0x40          # in the first byte: the message is deflated (RFC 7692 6)
    CONTROL = 0x08       # in the first byte: a control frame (RFC 6455 5.5)
    MASKED = 0x80        # in the second byte: the payload is masked (RFC 6455 5.2)
    LENGTH = 0x7F        # the length in the second byte (RFC 6455 5.2)
    MAX_CONTROL = 125    # the largest payload of a control frame (RFC 6455 5.5)
    READ = 262144        # bytes read at a time
    MAX_COPIED = 16384   # a payload of up to this many bytes is joined to its frame's head
    PORTION = 262144     # bytes written at a time to a transport that copies, so that its copies stay small
    MAX_CORKED = 65536   # the most bytes gathered while a read is handled; if there are more, they are sent
    OUT = 98304          # bytes that are gathered without an allocation: MAX_CORKED, and a message
    FIRST = 65536        # the first buffer of a message: a declared length alone must not allocate more

cdef int _TURN = TURN
cdef Py_ssize_t _LEAST_DEFLATED = LEAST_DEFLATED
cdef Py_ssize_t _AT_ONCE = AT_ONCE
cdef double _TURN_SECONDS = TURN_SECONDS

cdef int FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL
cdef uint8_t* _shared = <uint8_t*>malloc(READ)
if _shared == NULL:
    raise MemoryError
cdef bint _sharedIsTaken = False
cdef uint8_t* _sharedOut = <uint8_t*>malloc(OUT)
if _sharedOut == NULL:
    raise MemoryError
cdef bint _outIsTaken = False

# The connection whose message is being delivered, if others follow in what was read at once. What is sent to many
# connections meanwhile, or within a `Gathering`, is gathered, and leaves as one write to each: before anything else is
# sent to one of them.
cdef Frames _reading = None
cdef int _gatherings = 0         # those that are entered
cdef list _gathered = []         # the messages, for
cdef list _audience = None       # these connections
cdef object _but = None          # without this one
cdef Frames _reader = None       # and without the one that is read: it has them among what it gathers itself
cdef Py_ssize_t _gatheredSize = 0


cdef inline int _bucketOf(Py_ssize_t size) noexcept nogil:
    """The bucket of `wsd.metrics.SIZES` for a message of this size."""
    if size <= 64:
        return 0
    # The bounds are 2 ** 6, 2 ** 8, 2 ** 10, ...
    return min((59 - __builtin_clzll(size - 1)) // 2, BUCKETS - 1)


cdef inline void _writeHead(uint8_t* head, uint8_t first, Py_ssize_t size) noexcept nogil:
    """Write a frame's head, in the shortest form (RFC 6455 5.2)."""
    cdef int index
    head[0] = first
    if size < 126:
        head[1] = size
    elif size < 65536:
        head[1] = 126
        head[2] = size >> 8
        head[3] = size & 0xFF
    else:
        head[1] = 127
        for index in range(8):
            head[2 + index] = (size >> (56 - 8 * index)) & 0xFF


cdef double _now() noexcept nogil:
    cdef timespec found
    clock_gettime(CLOCK_MONOTONIC, &found)
    return found.tv_sec + found.tv_nsec * 1e-9


cdef class Traffic:
    """`wsd.metrics.Traffic`, counted in C."""

    cdef public unsigned long long messagesIn, messagesOut, bytesIn, bytesOut
    cdef unsigned long long _sizesIn[BUCKETS]
    cdef unsigned long long _sizesOut[BUCKETS]

    def sizesIn(self):
        """The number of received messages in each bucket of `wsd.metrics.SIZES`, and of larger ones."""
        return [self._sizesIn[index] for index in range(BUCKETS)]

    def sizesOut(self):
        """The same of sent messages."""
        return [self._sizesOut[index] for index in range(BUCKETS)]


class PythonFrames(Fast):
    """
    The Python half of `Frames`: reads the frames that are not read in C. Its transport is its `Frames`.

    `Frames` has the state, gathers what is written, and reports the received bytes of both halves.
    """

    @property
    def isOpen(self):
        """Whether messages are read and written."""
        return self._transport is not None and self._transport.isOpen

    @isOpen.setter
    def isOpen(self, isOpen):
        """Ignored: the connection sets it on `Frames`."""

    @property
    def held(self):
        """As in `Frames`."""
        return 0 if self._transport is None else self._transport.held

    @held.setter
    def held(self, held):
        """Ignored: the connection sets it on `Frames`."""

    def countPiece(self, size):
        """As in `Frames`, which counts."""
        self._transport.countPiece(size)

    def countEnd(self, size):
        """As in `Frames`, which counts."""
        self._transport.countEnd(size)

    def countOut(self, size):
        """As in `Frames`, which counts."""
        self._transport.countOut(size)

    def cork(self):
        """Do nothing: `Frames` gathers."""

    def _reportKept(self):
        """Do nothing: `Frames` reports the kept bytes of both halves."""

    def _deflateInSteps(self, large):
        self._transport.isBusy = True
        super()._deflateInSteps(large)

    def _deflateDone(self):
        if self._transport is not None:
            self._transport.isBusy = self.isBusy
        super()._deflateDone()

    def _unmasked(self, bytes data, bytes mask):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, size)
        cdef uint32_t key
        memcpy(&key, PyBytes_AS_STRING(mask), 4)
        unmask(<uint8_t*>PyBytes_AS_STRING(payload), <const uint8_t*>PyBytes_AS_STRING(data), size, key, 0)
        return payload


cdef class Frames:
    """Reads and writes the frames of one open connection: the twin of `wsd.frames.fast.Fast`."""

    cdef object _handler, _transport, _received, _limits, _deflater, _python
    cdef Traffic _traffic
    cdef bint _streams, _answers, _onlyPython, _feeding, _inPython
    cdef bint _isReported   # whether the transport reports its unsent bytes to the connection
    cdef bint _waits   # whether the transport may have unsent bytes
    cdef int _descriptor
    cdef uint64_t _most
    cdef bytes _rest

    # An incomplete message: its payload so far, unmasked, and checked if it is text.
    cdef PyObject* _message
    cdef Py_ssize_t _room, _got, _length, _kept
    cdef uint8_t _first
    cdef uint32_t _mask, _text

    # The gathered bytes that are to be sent.
    cdef uint8_t* _out
    cdef Py_ssize_t _outSize, _outRoom

    cdef public bint isOpen
    """Whether messages are read and written. Set by the connection."""

    cdef public int held
    """The number of `hold`s that are not released. Set by the connection."""

    cdef readonly unsigned long long sent
    """Bytes sent to the socket directly, bypassing the transport."""

    cdef public bint isBusy
    """Whether a message is being deflated in steps."""

    cdef public unsigned long long messagesIn, messagesOut, bytesIn, bytesOut
    """The messages of this connection and their bytes, as `Traffic` has those of its route."""

    cdef public bint heard
    """Whether anything was received since this was set to False."""

    def __init__(self, handler, transport, limits, deflater, bytes rest):
        """`rest` is what was received before the connection was open. The first `resumeReading` reads it."""
        self._handler = handler
        self._transport = transport
        self._answers = limits.answers
        self._received = handler.answer if limits.answers else handler.received
        self._limits = limits
        self._deflater = deflater
        self._traffic = limits.traffic
        self._streams = limits.streams
        self._most = min(limits.maxMessage, limits.maxFrame)
        self._descriptor = -1
        self._rest = rest
        self._kept = PyBytes_GET_SIZE(rest)
        self._onlyPython = self._inPython = not limits.takesWhole
        self._waits = True
        self.isOpen = handler.state == OPEN
        self.held = handler.held
        self.heard = True

    def __dealloc__(self):
        self._dropGathered()
        Py_XDECREF(self._message)

    def close(self):
        """Called when the connection is gone."""
        self._descriptor = -1
        self._waits = True
        if self._python is not None:
            self._python.close()
        self.isBusy = False
        self._handler = self._transport = self._received = self._deflater = self._python = None
        self._rest = b""
        self._dropMessage()

    # -- counting -------------------------------------------------------------------------------------------------

    def countIn(self, Py_ssize_t size):
        """Count a received message of this size."""
        self._countIn(size)

    def countPiece(self, Py_ssize_t size):
        """Count bytes of a message that is passed on in pieces."""
        self._traffic.bytesIn += size
        self.bytesIn += size

    def countEnd(self, Py_ssize_t size):
        """Count a message of this size, whose bytes are counted already."""
        self._traffic.messagesIn += 1
        self._traffic._sizesIn[_bucketOf(size)] += 1
        self.messagesIn += 1

    def countOut(self, Py_ssize_t size):
        """Count a sent message of this size."""
        self._countOut(size)

    cdef inline void _countIn(self, Py_ssize_t size) noexcept:
        self._traffic.messagesIn += 1
        self._traffic.bytesIn += size
        self._traffic._sizesIn[_bucketOf(size)] += 1
        self.messagesIn += 1
        self.bytesIn += size

    cdef inline void _countOut(self, Py_ssize_t size) noexcept:
        self._traffic.messagesOut += 1
        self._traffic.bytesOut += size
        self._traffic._sizesOut[_bucketOf(size)] += 1
        self.messagesOut += 1
        self.bytesOut += size

    cdef inline void _countGathered(self, Py_ssize_t messages, Py_ssize_t size, const int* buckets) noexcept:
        """Count several sent messages of this size together, which are in these buckets."""
        cdef int index
        self._traffic.messagesOut += messages
        self._traffic.bytesOut += size
        self.messagesOut += messages
        self.bytesOut += size
        for index in range(BUCKETS):
            self._traffic._sizesOut[index] += buckets[index]

    # -- bytes arrive ---------------------------------------------------------------------------------------------

    def attach(self, socket):
        """Read from this non-blocking socket when `doRead` is called, and send to it."""
        self._descriptor = socket.fileno()

    def doRead(self):
        """Read once and handle the data. Returns why the connection is lost, None if it is not."""
        global _sharedIsTaken
        cdef ssize_t got
        cdef uint8_t* buffer
        if self._message != NULL and not self._inPython:
            got = self._readMessage()
        elif _sharedIsTaken:
            # A protocol runs the reactor within a hook.
            buffer = <uint8_t*>malloc(READ)
            if buffer == NULL:
                raise MemoryError
            try:
                got = self._readInto(buffer)
            finally:
                free(buffer)
        else:
            _sharedIsTaken = True
            try:
                got = self._readInto(_shared)
            finally:
                _sharedIsTaken = False
        if got > 0:
            return None
        if got == 0:
            return CONNECTION_DONE
        return None if errno in (EAGAIN, EINTR) else CONNECTION_LOST

    cdef ssize_t _readInto(self, uint8_t* buffer) except -2:
        cdef ssize_t got = recv(self._descriptor, buffer, READ, MSG_DONTWAIT)
        if got > 0:
            self._feed(buffer, got)
        return got

    cdef ssize_t _readMessage(self) except -2:
        """Read directly into the buffer of the incomplete message."""
        cdef uint8_t* place
        cdef ssize_t got
        self._makeRoom()
        place = <uint8_t*>bytesOf(self._message) + self._got
        got = recv(self._descriptor, place, self._room - self._got, MSG_DONTWAIT)
        if got <= 0:
            return got
        self.heard = True
        if not self.isOpen or self.held:
            # Copied, since handling the data may free the message, and `place` with it.
            self.dataReceived(PyBytes_FromStringAndSize(<const char*>place, got))
            return got
        unmask(place, place, got, self._mask, self._got)
        self._feeding = True
        try:
            self._advance(got)
            if not self._inPython and not self.isOpen:
                self._handOver(NULL, 0)
        finally:
            self._feeding = False
            self._flush()
            self._reportKept()
        return got

    def dataReceived(self, bytes data):
        """Bytes from the peer."""
        self._feed(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef int _feed(self, const uint8_t* data, Py_ssize_t size) except -1:
        cdef bytes whole
        if self._handler is None:
            return 0
        self.heard = True
        if self._inPython and not self._rest:
            return self._feedPython(data, size)
        if self._rest or self._feeding or self.held:
            whole = self._rest + PyBytes_FromStringAndSize(<const char*>data, size)
            if self._feeding or self.held:
                self._rest = whole
                self._handler.onBuffered(len(whole))
                self._reportKept()
                return 0
            self._rest = b""
            return self._run(<const uint8_t*>PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole))
        return self._run(data, size)

    def resumeReading(self):
        """Called when reading is no longer held: read the data that was kept."""
        cdef bytes rest
        if self._feeding or self._handler is None:
            return
        if self._inPython:
            self._resumePython()
        if not self._inPython or self._rest:
            rest, self._rest = self._rest, b""
            self._run(<const uint8_t*>PyBytes_AS_STRING(rest), PyBytes_GET_SIZE(rest))

    cdef int _run(self, const uint8_t* data, Py_ssize_t size) except -1:
        self._feeding = True
        try:
            self._read(data, size)
        finally:
            self._feeding = False
            self._flush()
            _sendGathered()
            self._reportKept()
        return 0

    cdef int _reportKept(self) except -1:
        """Report the number of received bytes that are not passed on yet, if there are any, or were."""
        cdef Py_ssize_t rest = PyBytes_GET_SIZE(self._rest), assembled = 0, inflated = 0
        if self._message != NULL:
            assembled = self._room
        if self._inPython and self._python is not None:
            assembled += self._python.assembled
            inflated = self._python.inflated
            rest += self._python.kept - self._python.assembled - inflated
        cdef Py_ssize_t kept = rest + assembled + inflated
        if (kept or self._kept) and self._handler is not None:
            self._kept = kept
            self._handler.noteReceived(rest, assembled, inflated)
        return 0

    cdef int _read(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Read frames until the bytes are used up, reading is held, or other connections get their turn."""
        cdef Py_ssize_t position = 0, before
        cdef int frames = 0
        cdef double began = 0
        while True:
            if self.held:
                self._rest = PyBytes_FromStringAndSize(<const char*>data + position, size - position)
                return 0
            if not self.isOpen:
                return self._handOver(data + position, size - position)
            before = position
            position += self._frame(data + position, size - position)
            if self._inPython or position == size or self._handler is None:
                return 0
            if position == before:
                self._rest = PyBytes_FromStringAndSize(<const char*>data + position, size - position)
                return 0
            if frames == 0:
                began = _now()
            frames += 1
            if frames == _TURN or _now() - began > _TURN_SECONDS:
                self._handler.yieldToReactor()

    cdef Py_ssize_t _frame(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Read the next frame, or a part of it. Returns the number of bytes read, 0 if its head is incomplete."""
        cdef Py_ssize_t head = 6, end
        cdef uint64_t length
        cdef uint8_t first
        cdef uint32_t mask
        cdef bytes payload
        cdef uint8_t* place
        if self._message != NULL:
            return self._takePayload(data, size)
        if size < 2:
            return 0
        first = data[0]
        if data[1] < MASKED or not self._isReadHere(first, data[1]):
            return self._handToPython(data, size)
        length = data[1] & LENGTH
        if length == 126:
            head = 8
        elif length == 127:
            head = 14
        if size < head:
            return 0
        if length == 126:
            length = (<uint64_t>data[2] << 8) | data[3]
            if length < 126:
                return self._handToPython(data, size)
        elif length == 127:
            length = 0
            for end in range(2, 10):
                length = (length << 8) | data[end]
            if length < 65536:
                return self._handToPython(data, size)
        if length > self._most:
            return self._handToPython(data, size)
        memcpy(&mask, data + head - 4, 4)
        end = head + <Py_ssize_t>length
        if self._streams and first & RSV1:
            return self._handToPython(data, size)
        if end > size:
            if first & CONTROL:
                return 0
            if self._streams or first & RSV1:
                return self._handToPython(data, size)
            return self._beginMessage(first, length, mask, head, data, size)
        payload = PyBytes_FromStringAndSize(NULL, length)
        place = <uint8_t*>PyBytes_AS_STRING(payload)
        unmask(place, data + head, length, mask, 0)
        if first & (CONTROL | RSV1):
            return self._controlOrDeflated(first, payload, end, data, size)
        if first == TEXT and checkText(0, place, length) != 0:
            return self._handToPython(data, size)
        self._deliver(payload, first == BINARY, end < size)
        return end

    cdef bint _isReadHere(self, uint8_t first, uint8_t second) noexcept:
        """Returns whether a frame with these first bytes is read in C: a message in a single frame, a ping or a pong."""
        if first == TEXT or first == BINARY:
            return True
        if first == PING or first == PONG:
            return second <= (MASKED | MAX_CONTROL)
        return self._deflater is not None and (first == DEFLATED_TEXT or first == DEFLATED_BINARY)

    cdef Py_ssize_t _controlOrDeflated(
        self, uint8_t first, bytes payload, Py_ssize_t end, const uint8_t* data, Py_ssize_t size
    ) except -1:
        """Handle a ping, a pong, or a deflated message."""
        cdef bytes message
        handler = self._handler
        if first == PING:
            handler.onPing(payload)
            return end
        if first == PONG:
            handler.onPong(payload)
            return end
        self._deflater.begin()
        try:
            message = self._deflater.inflateSome(payload, True, self._limits.maxMessage)
        except InflateError as error:
            handler.inflateFailed(error)
            self._handOver(data + end, size - end)
            return size
        if self._deflater.pending is not None:
            self._pythonFrames().inflateOn(first, message)
            self._handToPython(data + end, size - end)
            return size
        if first == DEFLATED_TEXT:
            state = checkText(0, <const uint8_t*>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))
            if state != 0:
                handler.invalidText(state != NOT_TEXT)
                self._handOver(data + end, size - end)
                return size
        self._deliver(message, first == DEFLATED_BINARY, end < size)
        return end

    cdef int _deliver(self, bytes payload, bint isBinary, bint moreFollows) except -1:
        global _reading
        self._countIn(PyBytes_GET_SIZE(payload))
        # A local variable, since the attribute is cleared if the hook loses the connection.
        handler = self._handler
        _reading = self if moreFollows else None
        try:
            result = self._received(payload, isBinary)
            if self._answers and result is not None:
                if PyBytes_CheckExact(result):
                    self._sendBytes(result, isBinary, True)
                    result = None
                else:
                    result = handler.sendAnswer(result, isBinary)
        except Exception:
            handler.hookFailed()
        else:
            if result is not None:
                handler.hookReturned(result, PyBytes_GET_SIZE(payload))
        finally:
            _reading = None
        return 0

    # -- a message that arrives in pieces -------------------------------------------------------------------------

    cdef Py_ssize_t _beginMessage(
        self, uint8_t first, uint64_t length, uint32_t mask, Py_ssize_t head, const uint8_t* data, Py_ssize_t size
    ) except -1:
        cdef Py_ssize_t room = min(<Py_ssize_t>length, max(<Py_ssize_t>FIRST, 2 * (size - head)))
        self._message = newBytes(NULL, room)
        self._room = room
        self._got = 0
        self._length = length
        self._first = first
        self._mask = mask
        self._text = 0
        return head + self._takePayload(data + head, size - head)

    cdef Py_ssize_t _takePayload(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Add to the incomplete message. Returns the number of bytes used."""
        cdef Py_ssize_t taken
        if size == 0:
            return 0
        self._makeRoom()
        taken = min(size, self._room - self._got)
        unmask(<uint8_t*>bytesOf(self._message) + self._got, data, taken, self._mask, self._got)
        if self._advance(taken) and taken < size and self._message != NULL:
            taken += self._takePayload(data + taken, size - taken)
        elif self._inPython and self._handler is not None:
            # The text is invalid and the connection failed. Autobahn ignores what follows.
            self._handler.readPlain(PyBytes_FromStringAndSize(<const char*>data + taken, size - taken))
            taken = size
        return taken

    cdef int _makeRoom(self) except -1:
        """Make a full buffer four times as large, but no larger than the message."""
        cdef Py_ssize_t room
        if self._got == self._room:
            room = min(self._length, 4 * self._room)
            # If this fails, it frees the message and sets it to NULL.
            _PyBytes_Resize(&self._message, room)
            self._room = room
        return 0

    cdef int _advance(self, Py_ssize_t taken) except -1:
        """Check the new bytes, and deliver the message if it is complete. Returns 0 if it is invalid text."""
        cdef bytes payload
        if self._first == TEXT:
            self._text = checkText(self._text, <uint8_t*>bytesOf(self._message) + self._got, taken)
            if self._text == NOT_TEXT or (self._text != 0 and self._got + taken == self._length):
                self._handler.invalidText(self._text != NOT_TEXT)
                self._got += taken
                self._handOver(NULL, 0)
                return 0
        self._got += taken
        if self._got == self._length:
            payload = <bytes>self._message
            self._dropMessage()
            self._deliver(payload, self._first == BINARY, False)
        return 1

    cdef int _dropMessage(self) except -1:
        cdef PyObject* message = self._message
        self._message = NULL
        Py_XDECREF(message)
        return 0

    @property
    def unread(self):
        """What was received and is not passed on, for another process; None if that is not possible."""
        cdef bytes rest = self._rest
        if self._feeding or self._handler is None or (self._inPython and self._python is None and not self._onlyPython):
            return None
        if self._python is not None:
            found = self._python.unread
            return None if found is None else Unread(found.data + self._unreadMessage() + rest, found.window)
        return Unread(self._unreadMessage() + rest, b"" if self._deflater is None else self._deflater.window)

    cdef bytes _unreadMessage(self):
        """The incomplete message as the client has sent it: its head, and its payload so far, masked again."""
        cdef bytes payload
        if self._message == NULL:
            return b""
        payload = PyBytes_FromStringAndSize(NULL, self._got)
        unmask(<uint8_t*>PyBytes_AS_STRING(payload), <uint8_t*>bytesOf(self._message), self._got, self._mask, 0)
        mask = PyBytes_FromStringAndSize(<const char*>&self._mask, 4)
        return maskedHead(self._first & 0x0F, self._length, True, False, mask) + payload

    # -- the Python half ------------------------------------------------------------------------------------------

    cdef object _pythonFrames(self):
        if self._python is None:
            self._python = PythonFrames(self._handler, self, self._limits, self._deflater, b"")
        return self._python

    cdef Py_ssize_t _handToPython(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Let Python read the next frame, and what follows it. Returns `size`."""
        self._inPython = True
        self._feedPython(data, size)
        return size

    cdef int _feedPython(self, const uint8_t* data, Py_ssize_t size) except -1:
        cdef bint feeding = self._feeding
        python = self._pythonFrames()
        self._feeding = True
        try:
            python.dataReceived(PyBytes_FromStringAndSize(<const char*>data, size))
        finally:
            self._feeding = feeding
            self._inPython = self._onlyPython or not python.isIdle
            if not feeding:
                self._flush()
                self._reportKept()
        return 0

    cdef int _resumePython(self) except -1:
        python = self._pythonFrames()
        self._feeding = True
        try:
            python.resumeReading()
        finally:
            self._feeding = False
            self._inPython = self._onlyPython or not python.isIdle
            self._flush()
            self._reportKept()
        return 0

    cdef int _handOver(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Called when the connection closes: Autobahn reads on, to find the peer's close frame."""
        cdef Py_ssize_t left = 0
        # Copied first, since the bytes may belong to the message that is freed.
        cdef bytes rest = PyBytes_FromStringAndSize(<const char*>data, size)
        if self._message != NULL:
            left = self._length - self._got
            self._dropMessage()
        self._inPython = True
        if self._handler is not None:
            self._pythonFrames().handOver(rest, left)
        return 0

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self, payload, bint isBinary=True, fragment=0, bint deflate=True):
        """Send a message, as `Connection.send` says."""
        if PyBytes_CheckExact(payload) and not fragment:
            self._sendBytes(payload, isBinary, deflate)
            return
        if not self.isOpen:
            return
        if _gathered:
            self._yieldToGathered()
        if self.isBusy or isinstance(payload, (str, bytes, bytearray, memoryview)):
            self._pythonFrames().send(payload, isBinary, fragment, deflate)
        else:
            self._sendPrepared(payload, payload.plain, PyBytes_GET_SIZE(payload.payload))

    cdef int _sendBytes(self, bytes payload, bint isBinary, bint deflate) except -1:
        """Send a message in a single frame."""
        cdef uint8_t* head
        cdef uint8_t first = BINARY if isBinary else TEXT
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload), length
        if not self.isOpen:
            return 0
        if _gathered:
            self._yieldToGathered()
        if self.isBusy or (deflate and self._deflater is not None and size > _AT_ONCE):
            self._pythonFrames().send(payload, isBinary, 0, deflate)
            return 0
        self._countOut(size)
        if deflate and self._deflater is not None and size >= _LEAST_DEFLATED:
            payload = self._deflater.deflate(payload)
            first |= RSV1
            size = PyBytes_GET_SIZE(payload)
        length = 2 if size < 126 else 4 if size < 65536 else 10
        head = self._makeOut(length + (size if size <= MAX_COPIED else 0))
        _writeHead(head, first, size)
        if size > MAX_COPIED:
            self._outSize += length
            return self._sendBeside(payload)
        memcpy(head + length, PyBytes_AS_STRING(payload), size)
        self._outSize += length + size
        if not self._feeding or self._outSize > MAX_CORKED:
            self._flush()
        return 0

    cdef int _sendPrepared(self, prepared, bytes frame, Py_ssize_t size) except -1:
        """Send a message of this size, whose plain form is `frame`."""
        self._countOut(size)
        if self._deflater is not None and size >= _LEAST_DEFLATED:
            frame = prepared.deflated(self._deflater)
        return self._write(frame)

    cdef int _sendGathered(
        self, list messages, bytes plain, Py_ssize_t size, bint isSmall, const int* buckets
    ) except -1:
        """Send these messages, whose plain form is `plain` and whose payloads have this size and are in these buckets."""
        cdef bytes frame
        if not self.isOpen:
            return 0
        if self.isBusy:
            for prepared in messages:
                self._pythonFrames().send(prepared)
            return 0
        if self._deflater is None or isSmall:
            self._countGathered(PyList_GET_SIZE(messages), size, buckets)
            return self._write(plain)
        for prepared in messages:
            self._countOut(PyBytes_GET_SIZE(prepared.payload))
            frame = prepared.plain
            if PyBytes_GET_SIZE(prepared.payload) >= _LEAST_DEFLATED:
                frame = prepared.deflated(self._deflater)
            self._cork(<const uint8_t*>PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
        return 0 if self._feeding else self._flush()

    cdef int _yieldToGathered(self) except -1:
        """Something is to be sent: what was gathered for many connections goes first, unless it has that already."""
        return 0 if self is _reader else _sendGathered()

    def writeInTurn(self, bytes frame):
        """Send a complete frame of a message, after all earlier messages."""
        if self.isBusy:
            self._pythonFrames().writeInTurn(frame)
        else:
            self._write(frame)

    def sendUncompressed(self):
        """Send the message being deflated uncompressed, and everything queued behind it: a close frame follows."""
        if self.isBusy:
            self._pythonFrames().sendUncompressed()

    @property
    def waiting(self):
        """Bytes of the message being deflated, and of everything queued behind it."""
        return self._python.waiting if self.isBusy else 0

    def write(self, bytes frame):
        """Send a complete frame."""
        self._write(frame)

    cdef int _write(self, bytes frame) except -1:
        if _gathered:
            self._yieldToGathered()
        if PyBytes_GET_SIZE(frame) > MAX_COPIED or (not self._feeding and self._outSize == 0):
            return self._sendBeside(frame)
        self._cork(<const uint8_t*>PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
        if not self._feeding or self._outSize > MAX_CORKED:
            self._flush()
        return 0

    def writeSequence(self, pieces):
        """Send several pieces without joining them."""
        if _gathered:
            self._yieldToGathered()
        self._flush()
        self._waits = True
        self._transport.writeSequence(pieces)

    def flush(self):
        """Send the gathered bytes."""
        if _gathered:
            self._yieldToGathered()
        self._flush()

    cdef int _cork(self, const uint8_t* data, Py_ssize_t size) except -1:
        memcpy(self._makeOut(size), data, size)
        self._outSize += size
        return 0

    cdef uint8_t* _makeOut(self, Py_ssize_t size) except NULL:
        """Returns where so many bytes can be added to those that are gathered."""
        global _outIsTaken
        cdef uint8_t* out
        cdef Py_ssize_t room = self._outSize + size
        if room <= self._outRoom:
            return self._out + self._outSize
        if self._out == NULL and room <= OUT and not _outIsTaken:
            _outIsTaken = True
            self._out, self._outRoom = _sharedOut, OUT
            return _sharedOut
        room *= 2
        out = <uint8_t*>realloc(NULL if self._out == _sharedOut else self._out, room)
        if out == NULL:
            raise MemoryError
        if self._out == _sharedOut:
            memcpy(out, _sharedOut, self._outSize)
            _outIsTaken = False
        self._out, self._outRoom = out, room
        return out + self._outSize

    cdef int _sendBeside(self, bytes payload) except -1:
        """Send the gathered bytes, and then, without a copy, the payload."""
        cdef Py_ssize_t taken = 0
        transport = self._transport
        if transport is None:
            return 0
        if self._isSocketFree():
            taken = self._sendBoth(payload)
        else:
            self._flush()
        if taken == PyBytes_GET_SIZE(payload):
            return 0
        self._waits = True
        if self._handler is not None and self._handler.copies:
            for taken in range(0, PyBytes_GET_SIZE(payload), PORTION):
                transport.write(payload[taken : taken + PORTION])
        else:
            transport.writeSequence((memoryview(payload)[taken:] if taken else payload,))
        return self._checkUnsent()

    cdef bint _isSocketFree(self) except -1:
        """Returns whether the socket may be written to: the transport has no unsent bytes."""
        if self._waits and self._descriptor >= 0:
            self._waits = self._transport.unsent != 0
        return not self._waits

    cdef Py_ssize_t _sendBoth(self, bytes payload) except -1:
        """Send the gathered bytes and the payload in one call. Returns how many bytes of the payload the kernel took."""
        cdef iovec pieces[2]
        cdef msghdr message
        cdef ssize_t taken
        if self._outSize == 0:
            taken = send(self._descriptor, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), FLAGS)
        else:
            memset(&message, 0, sizeof(message))
            pieces[0].iov_base, pieces[0].iov_len = self._out, self._outSize
            pieces[1].iov_base, pieces[1].iov_len = PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload)
            message.msg_iov, message.msg_iovlen = pieces, 2
            taken = sendmsg(self._descriptor, &message, FLAGS)
        if taken < 0:
            # The transport gets the same error, and reports it.
            taken = 0
        self.sent += taken
        if taken >= self._outSize:
            taken -= self._outSize
            self._dropGathered()
            return taken
        self._outSize -= taken
        memmove(self._out, self._out + taken, self._outSize)
        self._flush()
        return 0

    cdef int _checkUnsent(self) except -1:
        """Drop the connection if there are more unsent bytes than allowed."""
        cdef Py_ssize_t unsent
        handler = self._handler
        if handler is None:
            return 0
        unsent = handler.unsent
        if unsent:
            if not self._isReported:
                self._isReported = handler.noteUnsent()
            if unsent > self._limits.maxUnsent:
                handler.overrun()
        return 0

    cdef int _dropGathered(self) noexcept:
        """Free the buffer of gathered bytes: an idle connection has none."""
        global _outIsTaken
        if self._out == _sharedOut:
            _outIsTaken = False
        else:
            free(self._out)
        self._out = NULL
        self._outSize = self._outRoom = 0
        return 0

    cdef int _flush(self) except -1:
        """Send to the socket, unless the transport has unsent bytes; write what is left to the transport."""
        cdef Py_ssize_t size
        cdef ssize_t taken = 0
        cdef bint isSocketFree
        if self._outSize == 0:
            return 0
        transport = self._transport
        if transport is None:
            return self._dropGathered()
        isSocketFree = self._isSocketFree()
        # Read after the call into Python, which might send.
        size = self._outSize
        if size == 0:
            return 0
        if isSocketFree:
            taken = send(self._descriptor, self._out, size, FLAGS)
            if taken < 0:
                taken = 0
            self.sent += taken
        if taken < size:
            rest = PyBytes_FromStringAndSize(<const char*>self._out + taken, size - taken)
            self._dropGathered()
            self._waits = True
            transport.write(rest)
            return self._checkUnsent()
        return self._dropGathered()


cdef int _sendGathered() except -1:
    """Send what was gathered for many connections."""
    global _gathered, _audience, _but, _reader, _gatheredSize
    cdef list messages = _gathered, audience = _audience
    cdef object but = _but
    cdef Frames each, reader = _reader
    cdef bytes plain
    cdef Py_ssize_t size = 0, largest = 0
    cdef int[BUCKETS] buckets
    if not messages:
        return 0
    memset(buckets, 0, sizeof(buckets))
    _gathered, _audience, _but, _reader, _gatheredSize = [], None, None, None, 0
    plain = b"".join([message.plain for message in messages])
    for message in messages:
        size += PyBytes_GET_SIZE(message.payload)
        largest = max(largest, PyBytes_GET_SIZE(message.payload))
        buckets[_bucketOf(PyBytes_GET_SIZE(message.payload))] += 1
    for each in audience:
        if each is not but and each is not reader:
            each._sendGathered(messages, plain, size, largest < _LEAST_DEFLATED, buckets)
    return 0


cdef int _gather(list frames, message, but) except -1:
    """Keep a message until what was read at once is answered, or the gathering ends."""
    global _audience, _but, _reader, _gatheredSize
    cdef Py_ssize_t index
    if not _gathered:
        _audience, _but, _reader = frames, but, _reading
    _gathered.append(message)
    _gatheredSize += PyBytes_GET_SIZE(message.plain)
    if _reader is None or _reader is but:
        return 0
    for index in range(PyList_GET_SIZE(frames)):
        # Without a reference to each, which would fetch them all from memory.
        if PyList_GetItem(frames, index) == <PyObject*>_reader:
            return _reader._sendPrepared(message, message.plain, PyBytes_GET_SIZE(message.payload))
    return 0


cdef class Gathering:
    """As a context: what `sendAll` sends within it leaves as one write to each connection, at its end at the latest."""

    def __enter__(self):
        global _gatherings
        _gatherings += 1

    def __exit__(self, *failure):
        global _gatherings
        _gatherings -= 1
        if _gatherings == 0 and _reading is None:
            _sendGathered()


def sendAll(list frames, message, but):
    """
    Send one prepared message to many connections, by the frames of each, and not to `but`. The list is not changed.

    Several in answer to messages that were read at once, or within a `Gathering`, leave as one write to each connection,
    if it is the same list.
    """
    cdef Frames each
    cdef bytes plain = message.plain
    cdef Py_ssize_t size = PyBytes_GET_SIZE(message.payload)
    if _gathered and (frames is not _audience or but is not _but):
        _sendGathered()
    if (_gathered or _reading is not None or _gatherings) and PyBytes_GET_SIZE(plain) <= MAX_COPIED:
        _gather(frames, message, but)
        if (_reading is None and _gatherings == 0) or _gatheredSize > MAX_CORKED:
            _sendGathered()
        return
    _sendGathered()
    for each in frames:
        if each is but or not each.isOpen:
            continue
        if each.isBusy:
            each._pythonFrames().send(message)
        else:
            each._sendPrepared(message, plain, size)
