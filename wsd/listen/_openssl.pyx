# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""
_openssl: TLS records by OpenSSL's own interface in C; `wsd.listen.records` does the same with Python's ssl module.

The functions are found at run time in the library that Python's ssl module has loaded, and used on its contexts. So
nothing of OpenSSL is needed to compile this, and there is never a second one in the process. The import fails where
the library or the contexts are not as expected. Nothing here releases the GIL, so all connections share the buffers.
"""

import _ssl
import ssl

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.errno cimport errno
from libc.string cimport memcpy
from wsd.listen.records cimport Records as PythonRecords

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject** data, Py_ssize_t size) except -1
    PyObject* newBytes "PyBytes_FromStringAndSize"(const char* data, Py_ssize_t size) except NULL
    char* bytesOf "PyBytes_AS_STRING"(PyObject* data)
    void Py_DECREF(PyObject* object)

cdef extern from "dlfcn.h":
    void* dlopen(const char* path, int how)
    void* dlsym(void* library, const char* name)
    int RTLD_LAZY, RTLD_NOLOAD

cdef extern from "string.h":
    char* strerror(int number)

cdef extern from "sys/socket.h":
    ssize_t recv(int descriptor, void* data, size_t size, int flags)
    ssize_t send(int descriptor, const void* data, size_t size, int flags)
    int MSG_NOSIGNAL

cdef enum:
    # As in `wsd.listen.transport`.
    READ = 256 * 1024
    # Bytes of plaintext in the largest record, and of a record's header (RFC 8446 5.1).
    RECORD = 16384
    HEAD = 5
    # More than what an earlier read can have left of an incomplete record.
    LEFT = 65536 + HEAD

    # From OpenSSL's headers; its ABI keeps them.
    WANT_READ = 2
    ZERO_RETURN = 6
    READING = 3
    RETRY_READ = 0x01 | 0x08
    FLUSH = 11
    OF_CONTEXTS = 1
    SOURCE_AND_SINK = 0x0400
    OF_SSL = 20
    VERIFY_FAILED = 134

ctypedef int (*Transfer)(void* ssl, void* data, int size) noexcept
ctypedef void* (*Maker)(void* of) noexcept
ctypedef void (*Ender)(void* of) noexcept
ctypedef void (*Setter)(void* of, int value) noexcept
ctypedef int (*Asker)(const void* of) noexcept
ctypedef int (*AskerOf)(const void* of, int value) noexcept
ctypedef void (*Caller)() noexcept
ctypedef unsigned long (*Errors)() noexcept
ctypedef const char* (*Words)(const void* of) noexcept
ctypedef const char* (*ErrorWords)(unsigned long code) noexcept
ctypedef const char* (*FaultWords)(long code) noexcept
ctypedef const char* (*VersionWords)(int kind) noexcept
ctypedef long (*Verdict)(const void* of) noexcept
ctypedef void (*BioAssigner)(void* ssl, void* reading, void* writing) noexcept
ctypedef void (*Alpn)(const void* ssl, const char** data, unsigned int* size) noexcept
ctypedef int (*Encoder)(const void* certificate, unsigned char** out) noexcept
ctypedef int (*Indexer)(int kind, long number, void* data, void* onNew, void* onCopy, void* onFree) noexcept
ctypedef int (*Unindexer)(int kind, int index) noexcept
ctypedef void* (*MethodMaker)(int kind, const char* name) noexcept
ctypedef int (*MethodSetter)(void* method, void* function) noexcept

cdef Transfer SSL_read, SSL_write
cdef Maker SSL_new, BIO_new, SSL_get1_peer_certificate
cdef Ender SSL_free, SSL_set_accept_state, X509_free
cdef Setter SSL_set_read_ahead, BIO_set_flags, BIO_set_init
cdef Asker SSL_do_handshake, SSL_shutdown, SSL_want, SSL_in_init, SSL_session_reused
cdef AskerOf SSL_get_error
cdef Caller ERR_clear_error
cdef Errors ERR_peek_last_error
cdef Verdict SSL_get_verify_result
cdef Words SSL_get_version, SSL_CIPHER_get_name
cdef ErrorWords ERR_reason_error_string
cdef FaultWords X509_verify_cert_error_string
cdef Maker SSL_get_current_cipher
cdef BioAssigner SSL_set_bio
cdef Alpn SSL_get0_alpn_selected
cdef Encoder i2d_X509
cdef MethodSetter BIO_meth_set_read_ex, BIO_meth_set_write_ex, BIO_meth_set_ctrl

cdef void* _library = NULL
cdef void* _method = NULL
"""OpenSSL's description of our BIO."""
cdef Py_ssize_t _contextAt = 0
"""Where an object of Python's ssl.SSLContext has the pointer to its SSL_CTX."""

cdef char[READ + LEFT] _received
"""What was read from a socket, after what an earlier read has left."""
cdef char[RECORD] _plain
"""The plaintext of a small read."""
cdef char[RECORD] _gathered
"""Pieces that are encrypted as one record."""

cdef const char* _input = NULL
cdef size_t _inputLeft = 0
"""What OpenSSL reads next."""
cdef char* _output = NULL
cdef size_t _outputSize = 0
cdef size_t _outputRoom = 0
"""What OpenSSL has written."""


# -- the BIO: OpenSSL reads `_input`, and writes to `_output` -------------------------------------------------------------

cdef int _give(void* bio, char* to, size_t size, size_t* given) noexcept:
    if _inputLeft == 0:
        given[0] = 0
        BIO_set_flags(bio, RETRY_READ)
        return -1
    _take(to, size, given)
    return 1


cdef void _take(char* to, size_t size, size_t* given) noexcept:
    global _input, _inputLeft
    if size > _inputLeft:
        size = _inputLeft
    memcpy(to, _input, size)
    _input += size
    _inputLeft -= size
    given[0] = size


cdef int _write(void* bio, const char* data, size_t size, size_t* written) noexcept:
    global _outputSize
    written[0] = 0
    if size > _outputRoom - _outputSize and not _grow(size):
        return -1
    memcpy(_output + _outputSize, data, size)
    _outputSize += size
    written[0] = size
    return 1


cdef bint _grow(size_t more) noexcept:
    global _output, _outputRoom
    cdef size_t room = (_outputSize + more) * 2
    cdef char* grown = <char*>PyMem_RawRealloc(_output, room)
    if grown == NULL:
        return False
    _output, _outputRoom = grown, room
    return True


cdef long _control(void* bio, int what, long number, void* data) noexcept:
    return what == FLUSH


# -- records --------------------------------------------------------------------------------------------------------------

cdef class Records(PythonRecords):
    """The server's side, as `wsd.listen.records.Records`. The context has none of the callbacks of Python's ssl module."""

    cdef void* _ssl
    cdef object _context
    cdef bytes _pending

    def __init__(self, context):
        cdef void* bio
        if not isinstance(context, _ssl._SSLContext):
            raise TypeError(f"a connection needs an ssl.SSLContext, not {type(context).__name__}")
        # The SSL_CTX has callbacks that use the object.
        self._context = context
        self._start = self._pending = b""
        self._ssl = SSL_new((<void**>(<char*><PyObject*>context + _contextAt))[0])
        bio = NULL if self._ssl == NULL else BIO_new(_method)
        if bio == NULL:
            raise MemoryError
        BIO_set_init(bio, 1)
        SSL_set_bio(self._ssl, bio, bio)
        SSL_set_accept_state(self._ssl)

    def __dealloc__(self):
        if self._ssl != NULL:
            SSL_free(self._ssl)

    cpdef bytes takePending(self):
        """Returns the bytes that TLS itself has to send, such as an alert or a key update."""
        pending, self._pending = self._pending, b""
        return pending

    cdef _keepOutput(self):
        """Called when OpenSSL has written something to send later."""
        self._pending += PyBytes_FromStringAndSize(_output, _outputSize)

    # -- the handshake --------------------------------------------------------------------------------------------

    def handshake(self, bytes data not None):
        """Continue the handshake. Returns the bytes after it, or None if it is not complete. Raises ssl.SSLError."""
        global _input, _inputLeft, _outputSize
        cdef int result
        _input, _inputLeft, _outputSize = PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 0
        ERR_clear_error()
        result = SSL_do_handshake(self._ssl)
        rest = PyBytes_FromStringAndSize(_input, _inputLeft)
        _inputLeft = 0
        if _outputSize:
            self._keepOutput()
        if result == 1:
            # From now on, OpenSSL is given complete records. So it can take each at once.
            SSL_set_read_ahead(self._ssl, 1)
            return rest
        result = SSL_get_error(self._ssl, result)
        if result == WANT_READ:
            return None
        raise self._error(result)

    cdef _error(self, int kind):
        """The error of the last call, as Python's ssl module makes it."""
        cdef unsigned long code = ERR_peek_last_error()
        cdef const char* words = ERR_reason_error_string(code) if code else NULL
        ERR_clear_error()
        if words == NULL:
            closed = kind == ZERO_RETURN
            error = ssl.SSLError(kind, "TLS/SSL connection has been closed (EOF)" if closed else "the TLS handshake failed")
            error.reason = None
            return error
        text = words.decode()
        if code >> 23 & 0xFF == OF_SSL and code & 0x7FFFFF == VERIFY_FAILED:
            fault = X509_verify_cert_error_string(SSL_get_verify_result(self._ssl)).decode()
            error = ssl.SSLCertVerificationError(kind, f"{text}: {fault}")
            error.verify_message = fault
        else:
            error = ssl.SSLError(kind, text)
        error.reason = text.replace(" ", "_").upper()
        return error

    # -- reading --------------------------------------------------------------------------------------------------

    cpdef bytes receive(self, connected):
        """Read once, and decrypt. Returns None if the peer has closed the connection. Raises OSError."""
        cdef int descriptor = connected.fileno()
        cdef Py_ssize_t left = PyBytes_GET_SIZE(self._start), size
        if left:
            memcpy(_received, PyBytes_AS_STRING(self._start), left)
        size = recv(descriptor, _received + left, READ, 0)
        if size < 0:
            number = errno
            raise OSError(number, strerror(number).decode())
        return self._decrypt(_received, left + size) if size else None

    cpdef bytes decrypt(self, bytes data):
        """Returns the plaintext of the bytes that were read."""
        if self._start:
            data = self._start + data
        return self._decrypt(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef bytes _decrypt(self, const char* data, Py_ssize_t size):
        """Returns the plaintext of the complete records, and keeps the rest in `_start`."""
        global _outputSize
        cdef Py_ssize_t whole = _complete(data, size)
        cdef PyObject* plain
        self._start = PyBytes_FromStringAndSize(data + whole, size - whole) if whole < size else b""
        _outputSize = 0
        # The plaintext is shorter than its records.
        if whole <= RECORD:
            got = PyBytes_FromStringAndSize(_plain, self._decryptTo(_plain, RECORD, data, whole))
        else:
            plain = newBytes(NULL, whole)
            _PyBytes_Resize(&plain, self._decryptTo(bytesOf(plain), whole, data, whole))
            got = <bytes>plain
            Py_DECREF(plain)
        if _outputSize:
            self._keepOutput()
        return got

    cdef Py_ssize_t _decryptTo(self, char* plain, Py_ssize_t room, const char* data, Py_ssize_t size) noexcept:
        """Decrypt complete records, one at a time. Returns the size of the plaintext."""
        global _input, _inputLeft
        cdef const char* end = data + size
        cdef Py_ssize_t got = 0
        cdef int result
        while _inputLeft or data < end:
            if not _inputLeft:
                _input, _inputLeft = data, _sizeOf(data)
                data += _inputLeft
            result = SSL_read(self._ssl, plain + got, room - got)
            if result > 0:
                got += result
            elif SSL_want(self._ssl) != READING:
                # Otherwise, the record has no application data.
                self._end()
                break
        _inputLeft = 0
        return got

    cdef void _end(self) noexcept:
        """
        Called when nothing more can be read: the peer has sent its close_notify, or a record was invalid.

        SSL_get_error would take an older error of this thread for one of this connection.
        """
        self.isOver = True
        self.isBroken = SSL_in_init(self._ssl) != 0
        ERR_clear_error()

    # -- writing --------------------------------------------------------------------------------------------------

    cpdef bytes seal(self, list pieces):
        """Encrypt pieces to send, in as few records as possible. Raises ssl.SSLError."""
        self._seal(pieces)
        return PyBytes_FromStringAndSize(_output, _outputSize)

    cpdef bytes send(self, connected, list pieces):
        """Encrypt pieces, and send them to the socket. Returns what it does not take. Raises ssl.SSLError."""
        cdef int descriptor = connected.fileno()
        cdef Py_ssize_t size
        self._seal(pieces)
        size = send(descriptor, _output, _outputSize, MSG_NOSIGNAL)
        if size < 0:
            # The transport gets the same error, and reports it.
            size = 0
        self.sent += size
        return PyBytes_FromStringAndSize(_output + size, _outputSize - size)

    cdef int _seal(self, list pieces) except -1:
        """Encrypt pieces to `_output`, after what TLS itself has to send."""
        cdef Py_ssize_t filled = 0, part, size
        cdef const char* data
        cdef Py_buffer buffer
        cdef bint isSealed = True
        self._startOutput()
        for piece in pieces:
            PyObject_GetBuffer(piece, &buffer, PyBUF_SIMPLE)
            data, size = <const char*>buffer.buf, buffer.len
            while size and isSealed:
                if not filled and size >= RECORD:
                    part = size - size % RECORD
                    isSealed = SSL_write(self._ssl, <void*>data, part) > 0
                else:
                    part = min(size, RECORD - filled)
                    memcpy(_gathered + filled, data, part)
                    filled += part
                    if filled == RECORD:
                        isSealed = SSL_write(self._ssl, _gathered, filled) > 0
                        filled = 0
                data += part
                size -= part
            PyBuffer_Release(&buffer)
        if filled and isSealed:
            isSealed = SSL_write(self._ssl, _gathered, filled) > 0
        if not isSealed:
            ERR_clear_error()
            raise ssl.SSLError(1, "the data cannot be encrypted")
        return 0

    cdef _startOutput(self):
        """Begin with what TLS itself has to send."""
        global _outputSize
        cdef size_t written
        _outputSize = 0
        if self._pending:
            _write(NULL, PyBytes_AS_STRING(self._pending), PyBytes_GET_SIZE(self._pending), &written)
            self._pending = b""

    def closeNotify(self):
        """Returns our close_notify (RFC 8446 6.1). Sets `isOver` if the peer has already sent its own."""
        self._startOutput()
        if SSL_shutdown(self._ssl) == 1:
            self.isOver = True
        ERR_clear_error()
        return PyBytes_FromStringAndSize(_output, _outputSize)

    # -- what was agreed on ---------------------------------------------------------------------------------------

    def version(self):
        """The version of TLS."""
        return SSL_get_version(self._ssl).decode()

    def cipher(self):
        """The cipher, as OpenSSL calls it."""
        cdef void* cipher = SSL_get_current_cipher(self._ssl)
        return SSL_CIPHER_get_name(cipher).decode() if cipher != NULL else ""

    def protocol(self):
        """The application protocol (RFC 7301); None without one."""
        cdef const char* data = NULL
        cdef unsigned int size = 0
        SSL_get0_alpn_selected(self._ssl, &data, &size)
        return data[:size].decode() if size else None

    def isResumed(self):
        """Whether an earlier session was resumed."""
        return SSL_session_reused(self._ssl) == 1

    def certificate(self):
        """The client's certificate in DER; None without one."""
        cdef void* certificate = SSL_get1_peer_certificate(self._ssl)
        cdef unsigned char* end
        if certificate == NULL:
            return None
        der = PyBytes_FromStringAndSize(NULL, i2d_X509(certificate, NULL))
        end = <unsigned char*>PyBytes_AS_STRING(der)
        i2d_X509(certificate, &end)
        X509_free(certificate)
        return der


cdef inline Py_ssize_t _sizeOf(const char* record) noexcept:
    return HEAD + (<unsigned char>record[3] << 8 | <unsigned char>record[4])


cdef inline Py_ssize_t _complete(const char* data, Py_ssize_t size) noexcept:
    """The size of the complete records at the beginning."""
    cdef Py_ssize_t at = 0
    while size - at >= HEAD and size - at >= _sizeOf(data + at):
        at += _sizeOf(data + at)
    return at


# -- finding OpenSSL ------------------------------------------------------------------------------------------------------

cdef void* _found(const char* name) except NULL:
    cdef void* function = dlsym(_library, name)
    if function == NULL:
        raise ImportError(f"the OpenSSL of Python's ssl module has no {name.decode()}")
    return function


cdef _load():
    """Find the library that Python's ssl module uses."""
    global _library
    path = getattr(_ssl, "__file__", None)
    encoded = path.encode() if path else None
    _library = dlopen(<char*>encoded if path else NULL, RTLD_LAZY | RTLD_NOLOAD)
    if _library == NULL:
        raise ImportError("the library of Python's ssl module is not found")
    version = (<VersionWords>_found("OpenSSL_version"))(0).decode()
    if version != ssl.OPENSSL_VERSION or not version.startswith("OpenSSL 3."):
        raise ImportError(f"Python's ssl module uses {ssl.OPENSSL_VERSION}; only OpenSSL 3 is supported")


cdef _bind():
    """Find the functions."""
    global SSL_read, SSL_write, SSL_new, BIO_new, SSL_get1_peer_certificate, SSL_free, SSL_set_accept_state, X509_free
    global SSL_set_read_ahead, BIO_set_flags, BIO_set_init, SSL_do_handshake, SSL_shutdown, SSL_want, SSL_in_init
    global SSL_session_reused, SSL_get_error, ERR_clear_error, ERR_peek_last_error, SSL_get_verify_result, SSL_get_version
    global SSL_CIPHER_get_name, ERR_reason_error_string, X509_verify_cert_error_string, SSL_get_current_cipher
    global SSL_set_bio, SSL_get0_alpn_selected, i2d_X509
    SSL_read = <Transfer>_found("SSL_read")
    SSL_write = <Transfer>_found("SSL_write")
    SSL_new = <Maker>_found("SSL_new")
    SSL_free = <Ender>_found("SSL_free")
    SSL_set_bio = <BioAssigner>_found("SSL_set_bio")
    SSL_set_accept_state = <Ender>_found("SSL_set_accept_state")
    SSL_set_read_ahead = <Setter>_found("SSL_set_read_ahead")
    SSL_do_handshake = <Asker>_found("SSL_do_handshake")
    SSL_shutdown = <Asker>_found("SSL_shutdown")
    SSL_want = <Asker>_found("SSL_want")
    SSL_in_init = <Asker>_found("SSL_in_init")
    SSL_session_reused = <Asker>_found("SSL_session_reused")
    SSL_get_error = <AskerOf>_found("SSL_get_error")
    SSL_get_verify_result = <Verdict>_found("SSL_get_verify_result")
    SSL_get_version = <Words>_found("SSL_get_version")
    SSL_get_current_cipher = <Maker>_found("SSL_get_current_cipher")
    SSL_CIPHER_get_name = <Words>_found("SSL_CIPHER_get_name")
    SSL_get0_alpn_selected = <Alpn>_found("SSL_get0_alpn_selected")
    SSL_get1_peer_certificate = <Maker>_found("SSL_get1_peer_certificate")
    i2d_X509 = <Encoder>_found("i2d_X509")
    X509_free = <Ender>_found("X509_free")
    X509_verify_cert_error_string = <FaultWords>_found("X509_verify_cert_error_string")
    ERR_clear_error = <Caller>_found("ERR_clear_error")
    ERR_peek_last_error = <Errors>_found("ERR_peek_last_error")
    ERR_reason_error_string = <ErrorWords>_found("ERR_reason_error_string")
    BIO_new = <Maker>_found("BIO_new")
    BIO_set_flags = <Setter>_found("BIO_set_flags")
    BIO_set_init = <Setter>_found("BIO_set_init")


cdef _makeMethod():
    global _method
    _method = (<MethodMaker>_found("BIO_meth_new"))(SOURCE_AND_SINK, b"wsd")
    if _method == NULL:
        raise MemoryError
    (<MethodSetter>_found("BIO_meth_set_read_ex"))(_method, <void*>_give)
    (<MethodSetter>_found("BIO_meth_set_write_ex"))(_method, <void*>_write)
    (<MethodSetter>_found("BIO_meth_set_ctrl"))(_method, <void*>_control)


cdef void* _newest = NULL
"""The last SSL_CTX that was made."""


cdef void _seeContext(void* context, void* data, void* all, int index, long number, void* argument) noexcept:
    global _newest
    _newest = context


cdef _findContext():
    """Find out where a context of Python's ssl module has its SSL_CTX: OpenSSL tells of each that is made."""
    global _contextAt
    cdef Indexer index = <Indexer>_found("CRYPTO_get_ex_new_index")
    cdef int number = index(OF_CONTEXTS, 0, NULL, <void*>_seeContext, NULL, NULL)
    cdef Py_ssize_t at
    context = _ssl._SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (<Unindexer>_found("CRYPTO_free_ex_index"))(OF_CONTEXTS, number)
    if _newest != NULL:
        for at in range(sizeof(PyObject), _ssl._SSLContext.__basicsize__ - sizeof(void*) + 1, sizeof(void*)):
            if (<void**>(<char*><PyObject*>context + at))[0] == _newest:
                _contextAt = at
                return
    raise ImportError("Python's ssl module has other contexts than expected")


_load()
_bind()
_makeMethod()
_findContext()
