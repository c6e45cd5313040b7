from wsd.listen.records cimport Records

cdef class Sealer:
    cdef object _below, _socket, _tell, _wire
    cdef list _pieces
    cdef Records _records
    cdef public Py_ssize_t corked
    cdef public bint pulls

    cpdef write(self, pieces, Py_ssize_t size)
    cpdef cork(self)
    cpdef uncork(self)
    cdef _seal(self, list pieces)
    cdef _sealPortion(self, Records records, list pieces)
    cpdef pass_(self, bytes data)
