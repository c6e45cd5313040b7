from wsd.listen.records cimport Records
from wsd.listen.sealing cimport Sealer

cdef class SecureTransport:
    cdef object _below, _handshake, _phase, _producer, _receive, _serverName, _socket, _wire
    cdef Records _records
    cdef Sealer _sealer
    cdef bint _hasNotified, _isHalfClosed
    cdef public bint connected, disconnecting
    cdef public object protocol

    cpdef dataReceived(self, bytes data)
    cdef _decrypted(self, Records records, bytes plain)
    cdef _deliver(self, bytes plain)
    cdef _write(self, pieces, Py_ssize_t size)
