cdef class Records:
    cdef object _incoming, _outgoing, _tls
    cdef bytes _start
    cdef Py_ssize_t _missing
    cdef public bint isOver, isBroken
    cdef public unsigned long long sent

    cpdef bytes receive(self, connected)
    cpdef bytes decrypt(self, bytes data)
    cdef bytes _record(self, Py_ssize_t size)
    cdef bytes _several(self, bytes data)
    cdef Py_ssize_t _whole(self, bytes data)
    cpdef bytes seal(self, list pieces)
    cpdef bytes send(self, connected, list pieces)
    cpdef bytes takePending(self)
