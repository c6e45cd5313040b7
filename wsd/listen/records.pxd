cdef class Records:
    cdef object _incoming, _outgoing
    cdef bytes _start
    cdef Py_ssize_t _missing
    cdef public object tls
    cdef public bint isOver, isBroken

    cpdef bytes decrypt(self, bytes data)
    cdef bytes _record(self, Py_ssize_t size)
    cdef bytes _several(self, bytes data)
    cdef Py_ssize_t _whole(self, bytes data)
    cpdef bytes seal(self, data)
    cpdef bytes takePending(self)
