from wsd.listen.records cimport Records

cdef class SecureTransport:
    cdef object _below, _choose, _hello, _producer, _receiver, _sni, _socket, _tell, _wire
    cdef list _gathered
    cdef Py_ssize_t _bytes
    cdef Records _records
    cdef bint _isDeaf, _isEnded, _isOpen, _isRefused, _pulls, _saidGoodbye
    cdef public bint connected, disconnecting
    cdef public object protocol
    cdef public unsigned long long sent

    cpdef feed(self, bytes data)
    cdef _deliver(self, bytes plain)
    cdef _write(self, pieces, Py_ssize_t size)
    cdef _flush(self)
    cdef _seal(self, list pieces)
    cdef _send(self, bytes data)
