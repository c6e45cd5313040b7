/*
 * wsload: what a WebSocket server's echo, fan-out, opening handshake and open connections cost, seen from one thread on
 * one epoll set. `wsload --help` lists the options; the result is one line of JSON.
 *
 * Every frame is made before anything is measured, so that the generator costs little; every byte that comes back is
 * compared with what was sent. The server's CPU is read from the kernel's schedstat (nanoseconds), over all threads of
 * the given processes.
 *
 *     gcc -O3 -march=native -o wsload wsload.c -lssl -lcrypto -lz
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* -- what was asked for ------------------------------------------------------------------------------------------ */

enum mode { ECHO, HANDSHAKES, HOLD, FANOUT, PACED };
enum kind { TEXT, UTF8, JSON, BINARY };

static const char *const MODES[] = {"echo", "handshakes", "hold", "fanout", "paced", NULL};
static const char *const KINDS[] = {"text", "utf8", "json", "binary", NULL};

static struct {
    enum mode mode;
    enum kind kind;
    int port, connections, idle, depth, flood, messages, inFlight, rate, deaf, tail;
    size_t size;
    double seconds, warmUp;
    const char *path, *senderPath, *protocol, *first;
    bool raw, tls, deflate, plain, takeover;
    int pids[64], pidCount;
} asked = {.connections = 1, .depth = 1, .inFlight = 128, .rate = 80, .size = 32, .seconds = 1, .warmUp = 0.3, .path = "/",
           .protocol = "", .first = ""};

static const char HELP[] =
    "usage: wsload --port PORT [options]\n"
    "  --mode MODE        echo (default): every connection keeps --depth messages in flight\n"
    "                     handshakes: --connections are opened, and dropped once open, over and over\n"
    "                     hold: --connections are opened and kept until standard input ends\n"
    "                     fanout: one more connection sends --rate messages a second; all must get each\n"
    "                     paced: --rate messages a second in all, on the connections in turn, whatever is answered;\n"
    "                     times are from when a message was due, so that a server that stalls is seen to\n"
    "  --path PATH        of the request (/)\n"
    "  --connections N    that are active (1)\n"
    "  --idle N           that are opened before those, and kept open (0)\n"
    "  --size BYTES       of a message (32)\n"
    "  --kind KIND        text (default), utf8 (beyond ASCII), json, binary\n"
    "  --depth N          messages in flight on a connection (1)\n"
    "  --flood N          echo: one more connection keeps N in flight; it is not measured (0)\n"
    "  --messages N       hold: exchanged on each connection before it is left alone (0)\n"
    "  --rate N           fanout, paced: messages a second (80)\n"
    "  --sender-path PATH fanout: of the request of the one that sends (that of --path)\n"
    "  --deaf N           fanout: so many more are opened, and never read (0)\n"
    "  --protocol NAME    the subprotocol that is offered, by all but the one that sends\n"
    "  --first TEXT       fanout: said on each connection once it is open; one message answers it\n"
    "  --tail BYTES       fanout: messages come in an envelope, with so many bytes behind them\n"
    "  --deflate          offer permessage-deflate as a browser does, and compress; the server must accept\n"
    "  --plain            with --deflate: negotiate it, but send messages as they are\n"
    "  --takeover         with --deflate: compress the messages of a connection as one stream, as browsers do, in a window\n"
    "                     of 4 KiB, unless the server asks for each on its own\n"
    "  --tls              over TLS 1.3; the certificate is not checked\n"
    "  --raw              echo of bare TCP: the same bytes, without handshake\n"
    "  --seconds S        measured (1), after --warm-up S (0.3)\n"
    "  --pids P,P         the server's processes\n"
    "  --in-flight N      connections that are being opened at a time (128)\n";

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "wsload: ");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static int named(const char *const names[], const char *name, const char *option) {
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) return i;
    fail("%s is no --%s; --help lists them", name, option);
    return 0;
}

static void readPids(char *list) {
    for (char *pid = strtok(list, ","); pid; pid = strtok(NULL, ",")) {
        if (asked.pidCount == 64) fail("at most 64 --pids");
        asked.pids[asked.pidCount++] = atoi(pid);
    }
}

static void readOptions(int count, char **words) {
    static const struct option options[] = {
        {"mode", 1, 0, 'm'},    {"path", 1, 0, 'P'},   {"connections", 1, 0, 'n'}, {"idle", 1, 0, 'i'},
        {"size", 1, 0, 's'},    {"kind", 1, 0, 'k'},   {"depth", 1, 0, 'd'},       {"messages", 1, 0, 'M'},
        {"rate", 1, 0, 'R'},    {"flood", 1, 0, 'F'},      {"deflate", 0, 0, 'c'}, {"plain", 0, 0, 'u'},  {"takeover", 0, 0, 'v'},      {"tls", 0, 0, 't'},
        {"raw", 0, 0, 'r'},     {"seconds", 1, 0, 'T'}, {"warm-up", 1, 0, 'w'},    {"pids", 1, 0, 'S'},
        {"sender-path", 1, 0, 'Q'}, {"deaf", 1, 0, 'D'}, {"protocol", 1, 0, 'o'}, {"first", 1, 0, '1'},
        {"tail", 1, 0, 'e'},    {"in-flight", 1, 0, 'f'}, {"port", 1, 0, 'p'}, {"help", 0, 0, 'h'},        {0, 0, 0, 0},
    };
    int option;
    while ((option = getopt_long(count, words, "", options, NULL)) != -1) switch (option) {
        case 'm': asked.mode = named(MODES, optarg, "mode"); break;
        case 'k': asked.kind = named(KINDS, optarg, "kind"); break;
        case 'P': asked.path = optarg; break;
        case 'n': asked.connections = atoi(optarg); break;
        case 'i': asked.idle = atoi(optarg); break;
        case 's': asked.size = strtoull(optarg, NULL, 10); break;
        case 'd': asked.depth = atoi(optarg); break;
        case 'M': asked.messages = atoi(optarg); break;
        case 'F': asked.flood = atoi(optarg); break;
        case 'R': asked.rate = atoi(optarg); break;
        case 'Q': asked.senderPath = optarg; break;
        case 'D': asked.deaf = atoi(optarg); break;
        case 'o': asked.protocol = optarg; break;
        case '1': asked.first = optarg; break;
        case 'e': asked.tail = atoi(optarg); break;
        case 'c': asked.deflate = true; break;
        case 'u': asked.plain = true; break;
        case 'v': asked.takeover = true; break;
        case 't': asked.tls = true; break;
        case 'r': asked.raw = true; break;
        case 'T': asked.seconds = atof(optarg); break;
        case 'w': asked.warmUp = atof(optarg); break;
        case 'S': readPids(optarg); break;
        case 'f': asked.inFlight = atoi(optarg); break;
        case 'p': asked.port = atoi(optarg); break;
        case 'h': fputs(HELP, stdout); exit(0);
        default: fputs(HELP, stderr); exit(2);
    }
    if (!asked.port || asked.connections < 1 || asked.depth < 1 || asked.inFlight < 1 || asked.rate < 1)
        fail("a --port, and 1 or more --connections, --depth, --rate and --in-flight; --help lists the options");
    if (asked.mode == FANOUT && (asked.size < 16 || asked.deflate)) fail("a fanout has a --size of 16 or more, and no --deflate");
    if (!asked.senderPath) asked.senderPath = asked.path;
}

/* -- time, and the server's CPU ---------------------------------------------------------------------------------- */

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + time.tv_nsec;
}

static uint64_t later(double seconds) { return now() + (uint64_t)(seconds * 1e9); }

/* A file of /proc as a text; empty when it is gone. */
static const char *procFile(const char *path) {
    static char text[256];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    text[length > 0 ? length : 0] = 0;
    return text;
}

/* Nanoseconds that all threads of a process have run. */
static uint64_t cpuOf(int pid) {
    char path[300];
    uint64_t total = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, task->d_name);
        total += strtoull(procFile(path), NULL, 10);
    }
    closedir(tasks);
    return total;
}

static uint64_t serverCpu(void) {
    uint64_t total = 0;
    for (int i = 0; i < asked.pidCount; i++) total += cpuOf(asked.pids[i]);
    return total;
}

static uint64_t ownCpu(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + time.tv_nsec;
}

/* -- latencies: a histogram of 64 steps to each power of two, so within 1.6 % -------------------------------------- */

static uint64_t histogram[64 * 60];

static int stepOf(uint64_t value) {
    if (value < 64) return value;
    int power = 63 - __builtin_clzll(value);
    return (power - 5) * 64 + ((value >> (power - 6)) & 63);
}

static uint64_t percentile(double part, uint64_t count) {
    uint64_t wanted = (uint64_t)(part * count), seen = 0;
    for (int step = 0; step < 64 * 60; step++) {
        seen += histogram[step];
        if (seen > wanted) {
            int power = step / 64 + 5;
            return step < 64 ? (uint64_t)step : (1ull << power) + ((uint64_t)(step % 64) << (power - 6));
        }
    }
    return 0;
}

/* -- the messages, made once --------------------------------------------------------------------------------------- */

/* Messages that a connection of --mode paced may be behind; then the server is too slow for the rate. */
#define BEHIND 64

static int messageCount;           /* different ones, sent in turn */
static int window;                 /* the most of them in flight on a connection */
static uint8_t **payloads;         /* what comes back: payloads, or for raw echo the frames */
static size_t payloadSize, *rawSizes;
static uint8_t *frames;            /* all twice, so that any run is one piece; then those of one stream: see makeStream */
static size_t *frameStarts;
static double zlibSize;            /* bytes a message at zlib's level 6, context kept: what most servers would send */

static uint64_t randomState = 88172645463325252u;

static uint32_t randomBits(void) {
    randomState ^= randomState << 13;
    randomState ^= randomState >> 7;
    randomState ^= randomState << 17;
    return randomState >> 16;
}

static void fillJson(char *text, size_t size, int id) {
    size_t used = snprintf(text, size + 1, "{\"id\":%d,\"items\":[", id);
    while (used + 60 < size)
        used += sprintf(text + used, "{\"sym\":\"%c%c%c\",\"px\":%u.%02u,\"q\":%u},", 'A' + randomBits() % 26,
                        'A' + randomBits() % 26, 'A' + randomBits() % 26, randomBits() % 1000, randomBits() % 100,
                        randomBits() % 10000);
    while (used < size) text[used++] = ' ';
}

static void fillUtf8(uint8_t *text, size_t size, int id) {
    static const char words[] = "h\xc3\xa9llo w\xc3\xb6rld \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 ";
    size_t used = 0, length = sizeof words - 1;
    for (; used + length <= size; used += length) memcpy(text + used, words, length);
    memset(text + used, 'a' + id % 26, size - used);
}

static void fill(uint8_t *payload, int id) {
    if (asked.kind == JSON) fillJson((char *)payload, asked.size, id);
    else if (asked.kind == UTF8) fillUtf8(payload, asked.size, id);
    else if (asked.mode == FANOUT && asked.kind == TEXT)
        for (size_t i = 0; i < asked.size; i++) payload[i] = 'a' + randomBits() % 26; /* the same in JSON */
    else for (size_t i = 0; i < asked.size; i++)
        payload[i] = asked.kind == BINARY ? randomBits() : 32 + randomBits() % 94;
}

/* RFC 7692 7.2.1: a raw deflate stream, flushed, without the last four bytes. Returns its size; `to` has room. */
static size_t deflated(z_stream *stream, const uint8_t *payload, size_t size, uint8_t *to) {
    stream->next_in = (uint8_t *)payload;
    stream->avail_in = size;
    stream->next_out = to;
    stream->avail_out = size + 1024;
    deflate(stream, Z_SYNC_FLUSH);
    return stream->next_out - to - 4;
}

/* Appends a client's frame (RFC 6455 5.2) with a random mask; returns its size. */
static size_t makeFrame(uint8_t *to, const uint8_t *payload, size_t size, bool compressed) {
    size_t used = 0;
    uint32_t bits = randomBits() | 0x01010101;
    uint8_t mask[4];
    memcpy(mask, &bits, 4);
    to[used++] = 0x80 | (compressed ? 0x40 : 0) | (asked.kind == BINARY ? 2 : 1);
    if (size < 126) to[used++] = 0x80 | size;
    else {
        int width = size < 65536 ? 2 : 8;
        to[used++] = 0x80 | (width == 2 ? 126 : 127);
        for (int i = width - 1; i >= 0; i--) to[used++] = (uint64_t)size >> (8 * i);
    }
    memcpy(to + used, mask, 4);
    used += 4;
    for (size_t i = 0; i < size; i++) to[used + i] = payload[i] ^ mask[i & 3];
    return used + size;
}

static void measureZlib(void) {
    z_stream stream = {0};
    uint8_t *to = malloc(asked.size + 1024);
    size_t total = 0;
    deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    for (int i = 0; i < 2 * messageCount; i++) {
        size_t size = deflated(&stream, payloads[i % messageCount], asked.size, to);
        if (i >= messageCount) total += size;
    }
    zlibSize = (double)total / messageCount;
    deflateEnd(&stream);
    free(to);
}

/* The window of a stream: the smallest that a server of a measurement asks for. */
#define STREAM_BITS 12

/*
 * Appends the frames of all messages as one stream, three times: as the first ones of a connection, and twice as they are
 * from then on, when the window always holds the same. Returns its end.
 */
static uint8_t *makeStream(uint8_t *at) {
    z_stream stream = {0};
    uint8_t *compressed = malloc(asked.size + 1024), *repeated = at;
    deflateInit2(&stream, 6, Z_DEFLATED, -STREAM_BITS, 8, Z_DEFAULT_STRATEGY);
    for (int i = 0; i < 2 * messageCount; i++) {
        if (i == messageCount) repeated = at;
        size_t size = deflated(&stream, payloads[i % messageCount], asked.size, compressed);
        frameStarts[2 * messageCount + i] = at - frames;
        at += makeFrame(at, compressed, size, true);
    }
    size_t total = at - repeated;
    memcpy(at, repeated, total);
    for (int i = 0; i < messageCount; i++)
        frameStarts[4 * messageCount + i] = frameStarts[3 * messageCount + i] + total;
    frameStarts[5 * messageCount] = at + total - frames;
    deflateEnd(&stream);
    free(compressed);
    return at + total;
}

static void makeMessages(void) {
    /* 64 of 1 KiB are more than deflate's window, so that none is found there again. */
    messageCount = asked.size > 65536 ? 2 : 64;
    while (asked.deflate && !asked.plain && messageCount * asked.size < 65536) messageCount *= 2;
    window = asked.mode == PACED ? BEHIND : asked.flood > asked.depth ? asked.flood : asked.depth;
    while (messageCount < window) messageCount *= 2;
    payloadSize = asked.size;
    payloads = calloc(messageCount, sizeof *payloads);
    rawSizes = calloc(messageCount, sizeof *rawSizes);
    int copies = asked.takeover ? 5 : 2;
    frameStarts = calloc(copies * messageCount + 1, sizeof *frameStarts);
    uint8_t *compressed = malloc(asked.size + 1024), *at = frames = malloc(copies * messageCount * (asked.size + 1040));
    for (int i = 0; i < messageCount; i++) {
        const uint8_t *body = payloads[i] = malloc(asked.size + 1);
        size_t size = asked.size;
        fill(payloads[i], i);
        if (asked.deflate && !asked.plain) {
            z_stream stream = {0};
            deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
            size = deflated(&stream, body, size, compressed);
            deflateEnd(&stream);
            body = compressed;
        }
        frameStarts[i] = at - frames;
        at += makeFrame(at, body, size, body == compressed);
    }
    size_t total = at - frames;
    memcpy(at, frames, total);
    for (int i = 0; i <= messageCount; i++) frameStarts[messageCount + i] = total + (i < messageCount ? frameStarts[i] : total);
    free(compressed);
    if (asked.takeover) makeStream(at + total);
    if (asked.deflate) measureZlib();
    for (int i = 0; asked.raw && i < messageCount; i++) {
        payloads[i] = frames + frameStarts[i];
        rawSizes[i] = frameStarts[i + 1] - frameStarts[i];
    }
}

/* -- connections --------------------------------------------------------------------------------------------------- */

enum state { CONNECTING, SECURING, ASKING, OPEN, GONE };

struct connection {
    int socket;
    SSL *tls;
    enum state state;
    bool wantsWrite, compressed, resets, isFinal, awaitsAnswer, takesOver;
    uint8_t head[14], opcode, control[125];
    int headUsed, headNeeded, controlUsed;
    uint64_t left;                 /* of the frame's payload */
    size_t got;                    /* of the message */
    uint64_t sent, received, queued; /* messages */
    size_t offset;                 /* bytes of the first queued one that are sent */
    uint64_t *sentAt;
    uint8_t *collected;            /* a message that is looked at when it is whole: compressed, or a fan-out's */
    z_stream *inflater;
    char *answer;
    int answerUsed;
};

static struct connection *connections, *flooding, *sender;
static int polled, openCount;
static SSL_CTX *tlsContext;
static char request[1024], senderRequest[1024];
static uint8_t *readBuffer, *inflated;
static size_t readSize;
static uint64_t messages, handshakes, wireBytes, lost, wrong, said, missed;

static void watch(struct connection *c, bool writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    c->wantsWrite = writing;
    epoll_ctl(polled, EPOLL_CTL_MOD, c->socket, &event);
}

/* What a TLS call's result means: more than 0 bytes, 0 when the connection ended, -1 when it must be tried again. */
static ssize_t tlsResult(struct connection *c, int result) {
    if (result > 0) return result;
    int error = SSL_get_error(c->tls, result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static ssize_t get(struct connection *c, void *to, size_t most) {
    if (c->tls) return tlsResult(c, SSL_read(c->tls, to, most));
    ssize_t count = recv(c->socket, to, most, 0);
    return count < 0 && errno != EAGAIN ? 0 : count;
}

static ssize_t put(struct connection *c, const void *from, size_t size) {
    if (c->tls) return tlsResult(c, SSL_write(c->tls, from, size > 1 << 30 ? 1 << 30 : size));
    ssize_t count = send(c->socket, from, size, MSG_NOSIGNAL);
    return count < 0 && errno != EAGAIN ? 0 : count;
}

static void leave(struct connection *c) {
    epoll_ctl(polled, EPOLL_CTL_DEL, c->socket, NULL);
    c->state = GONE;
    lost++;
}

/* The frame that a connection sends next. */
static int frameOf(const struct connection *c) {
    int place = c->sent % messageCount;
    if (!c->takesOver) return place;
    return place + (c->sent < (uint64_t)messageCount ? 2 : 3) * messageCount;
}

/* Send what is queued, as far as the socket takes it. */
static void flush(struct connection *c) {
    while (c->queued) {
        int first = frameOf(c);
        uint64_t count = c->queued < (uint64_t)messageCount ? c->queued : (uint64_t)messageCount;
        size_t begin = frameStarts[first] + c->offset, end = frameStarts[first + count];
        ssize_t written = put(c, frames + begin, end - begin);
        if (!written) {
            leave(c);
            return;
        }
        if (written < 0) break;
        size_t position = begin + written;
        while (c->queued && position >= frameStarts[first + 1]) c->sent++, c->queued--, first++;
        c->offset = c->queued ? position - frameStarts[first] : 0;
    }
    if (!c->queued != !c->wantsWrite) watch(c, c->queued);
}

/* Send so many messages, which were due at a time. */
static void sayDue(struct connection *c, int count, uint64_t time) {
    for (int i = 0; i < count; i++) c->sentAt[(c->sent + c->queued + i) % window] = time;
    c->queued += count;
    flush(c);
}

static void say(struct connection *c, int count) { sayDue(c, count, now()); }

#define STAMP (asked.kind == BINARY ? 8 : 16)

/* A message of the fan-out: the time at which it is sent (as text in hexadecimal), then what all of them hold. */
static void sayTime(struct connection *c) {
    uint64_t time = now();
    uint8_t *frame = malloc(asked.size + 14);
    char text[17];
    snprintf(text, sizeof text, "%016lx", time);
    memcpy(payloads[0], asked.kind == BINARY ? (void *)&time : text, STAMP);
    said++;
    size_t size = makeFrame(frame, payloads[0], asked.size, false);
    if (put(c, frame, size) != (ssize_t)size) leave(c);
    free(frame);
}

/* -- what comes back ----------------------------------------------------------------------------------------------- */

static void messageEnded(struct connection *c, uint64_t sentAt) {
    c->received++;
    if (c == flooding) return;
    histogram[stepOf(now() - sentAt)]++;
    messages++;
}

static bool inflatedWell(struct connection *c) {
    memcpy(c->collected + c->got, "\0\0\xff\xff", 4);
    c->inflater->next_in = c->collected;
    c->inflater->avail_in = c->got + 4;
    c->inflater->next_out = inflated;
    c->inflater->avail_out = payloadSize + 1024;
    int result = inflate(c->inflater, Z_SYNC_FLUSH);
    size_t size = c->inflater->next_out - inflated;
    if (c->resets) inflateReset(c->inflater);
    return (result == Z_OK || result == Z_BUF_ERROR) && size == payloadSize &&
           !memcmp(inflated, payloads[c->received % messageCount], size);
}

static void collectedEnded(struct connection *c) {
    uint64_t sentAt = 0;
    if (asked.mode == FANOUT) {
        if (c->awaitsAnswer) {
            c->awaitsAnswer = false;
            return;
        }
        const uint8_t *payload = c->collected + (asked.tail ? c->got - asked.tail - payloadSize : 0);
        if (asked.kind == BINARY) memcpy(&sentAt, payload, 8);
        else sentAt = strtoull((char *)payload, NULL, 16);
        if ((!asked.tail && c->got != payloadSize) || memcmp(payload + STAMP, payloads[0] + STAMP, payloadSize - STAMP)) wrong++;
    } else {
        sentAt = c->sentAt[c->received % window];
        if (!inflatedWell(c)) wrong++;
    }
    messageEnded(c, sentAt);
}

static void controlEnded(struct connection *c) {
    if (c->opcode == 8) leave(c);
    if (c->opcode != 9 || c->queued) return; /* in the midst of a message of ours a pong must not stand */
    uint8_t pong[131] = {0x8a, 0x80 | c->controlUsed};
    memcpy(pong + 6, c->control, c->controlUsed);
    if (put(c, pong, 6 + c->controlUsed) != 6 + c->controlUsed) leave(c);
}

/* The first bytes of a frame, as many as there are; true once they are whole. */
static bool readHead(struct connection *c, const uint8_t **data, const uint8_t *end) {
    while (*data < end && c->headUsed < c->headNeeded) {
        c->head[c->headUsed++] = *(*data)++;
        if (c->headUsed == 2) c->headNeeded = 2 + (c->head[1] == 126 ? 2 : c->head[1] == 127 ? 8 : 0);
    }
    if (c->headUsed < c->headNeeded) return false;
    c->left = c->head[1];
    if (c->headNeeded > 2) c->left = 0;
    for (int i = 2; i < c->headNeeded; i++) c->left = c->left << 8 | c->head[i];
    c->isFinal = c->head[0] >> 7;
    c->opcode = c->head[0] & 15;
    if (c->opcode == 1 || c->opcode == 2) {
        c->compressed = c->head[0] & 0x40;
        c->got = 0;
        if (c->opcode != (asked.kind == BINARY ? 2 : 1)) wrong++;
    }
    if (c->opcode >= 8) c->controlUsed = 0;
    c->headUsed = 0;
    return true;
}

/* A piece of a frame's payload. */
static void readPiece(struct connection *c, const uint8_t *data, size_t size) {
    if (c->opcode >= 8) {
        memcpy(c->control + c->controlUsed, data, size);
        c->controlUsed += size;
        return;
    }
    wireBytes += size;
    if (c->got + size > payloadSize + (c->compressed || asked.tail ? 1024 : 0)) fail("an answer is longer than what was sent");
    if (c->compressed || asked.mode == FANOUT) memcpy(c->collected + c->got, data, size);
    else if (memcmp(data, payloads[c->received % messageCount] + c->got, size)) wrong++;
    c->got += size;
}

static void frameEnded(struct connection *c) {
    if (c->opcode >= 8) controlEnded(c);
    else if (c->isFinal && (c->compressed || asked.mode == FANOUT)) collectedEnded(c);
    else if (c->isFinal) {
        if (c->got != payloadSize) wrong++;
        messageEnded(c, c->sentAt[c->received % window]);
    }
}

static void readFrames(struct connection *c, const uint8_t *data, size_t size) {
    const uint8_t *end = data + size;
    while (c->state == OPEN) {
        if (c->headNeeded) {
            if (!readHead(c, &data, end)) return;
            c->headNeeded = 0;
        }
        size_t piece = c->left < (uint64_t)(end - data) ? c->left : (size_t)(end - data);
        readPiece(c, data, piece);
        data += piece;
        c->left -= piece;
        if (c->left) return;
        c->headNeeded = 2;
        frameEnded(c);
    }
}

static void readRaw(struct connection *c, const uint8_t *data, size_t size) {
    while (size) {
        int index = c->received % messageCount;
        size_t piece = rawSizes[index] - c->got < size ? rawSizes[index] - c->got : size;
        if (memcmp(data, payloads[index] + c->got, piece)) wrong++;
        c->got += piece;
        data += piece;
        size -= piece;
        wireBytes += piece;
        if (c->got == rawSizes[index]) {
            c->got = 0;
            messageEnded(c, c->sentAt[c->received % window]);
        }
    }
}

/* Read all that has come; the count of messages that it completed. */
static int readAll(struct connection *c) {
    uint64_t before = c->received;
    while (c->state == OPEN) {
        ssize_t count = get(c, readBuffer, readSize);
        if (count < 0) break;
        if (!count) leave(c);
        else if (asked.raw) readRaw(c, readBuffer, count);
        else readFrames(c, readBuffer, count);
        if (!c->tls && count < (ssize_t)readSize) break;
    }
    return c->received - before;
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

static void connectTo(struct connection *c) {
    /* Each source address has some 28,000 ports: connections are spread over sixteen. */
    static uint32_t turn;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + turn++ % 16)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(asked.port), .sin_addr.s_addr = htonl(0x7f000001)};
    int one = 1;
    if ((c->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0) fail("socket: %s", strerror(errno));
    setsockopt(c->socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int little = 4096;
    if (sender && c > sender) setsockopt(c->socket, SOL_SOCKET, SO_RCVBUF, &little, sizeof little); /* a deaf one */
    if (bind(c->socket, (void *)&from, sizeof from)) fail("bind: %s", strerror(errno));
    if (connect(c->socket, (void *)&to, sizeof to) && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    c->state = CONNECTING;
    c->answerUsed = 0;
    c->headNeeded = 2;
    if (!c->answer) c->answer = malloc(4097);
    if (!c->sentAt) c->sentAt = calloc(window, sizeof *c->sentAt);
    if (!c->collected && (asked.deflate || asked.mode == FANOUT)) c->collected = malloc(payloadSize + 1028);
    struct epoll_event event = {.events = EPOLLOUT | EPOLLIN, .data.ptr = c};
    c->wantsWrite = true;
    epoll_ctl(polled, EPOLL_CTL_ADD, c->socket, &event);
}

static void opened(struct connection *c) {
    c->state = OPEN;
    openCount++;
    if (c->wantsWrite) watch(c, false);
}

static void ask(struct connection *c) {
    if (asked.raw) {
        opened(c);
        return;
    }
    const char *text = c == sender ? senderRequest : request;
    if (put(c, text, strlen(text)) != (ssize_t)strlen(text)) fail("the request was not taken at once");
    c->state = ASKING;
    watch(c, false);
}

static void connected(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->socket, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) fail("connect: %s", strerror(error));
    if (!asked.tls) {
        ask(c);
        return;
    }
    c->tls = SSL_new(tlsContext);
    SSL_set_fd(c->tls, c->socket);
    SSL_set_connect_state(c->tls);
    c->state = SECURING;
    watch(c, false);
}

/* Reads the answer to the request; true once it is whole. What follows it is read as frames. */
static bool readAnswer(struct connection *c) {
    ssize_t count = get(c, c->answer + c->answerUsed, 4096 - c->answerUsed);
    if (count < 0) return false;
    if (!count) fail("the server ended a connection in its opening handshake");
    c->answerUsed += count;
    c->answer[c->answerUsed] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return false;
    if (!strstr(c->answer, " 101 ") || !strcasestr(c->answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        fail("no WebSocket was opened: %s", c->answer);
    if (asked.deflate) {
        if (!strcasestr(c->answer, "permessage-deflate")) fail("the server declined compression");
        c->resets = strcasestr(c->answer, "server_no_context_takeover");
        c->takesOver = asked.takeover && !strcasestr(c->answer, "client_no_context_takeover");
        char *bits = strcasestr(c->answer, "client_max_window_bits=");
        if (c->takesOver && bits && atoi(strchr(bits, '=') + 1) < STREAM_BITS)
            fail("the server asks for a window of less than %d bits", STREAM_BITS);
        c->inflater = calloc(1, sizeof *c->inflater);
        inflateInit2(c->inflater, -15);
    }
    handshakes++;
    opened(c);
    char *rest = end + 4;
    readFrames(c, (uint8_t *)rest, c->answer + c->answerUsed - rest);
    return true;
}

/* One step of an opening, at an event; true once it is open. */
static bool stepToOpen(struct connection *c, uint32_t events) {
    if (c->state == CONNECTING) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) return false;
        connected(c);
    }
    if (c->state == SECURING) {
        ssize_t result = tlsResult(c, SSL_do_handshake(c->tls));
        if (!result) fail("the TLS handshake failed");
        if (result < 0) return false;
        ask(c);
    }
    return c->state == ASKING ? readAnswer(c) : c->state == OPEN;
}

/* Messages of an echo that are measured at the least, however long they take. */
#define AT_LEAST 8

/* -- what is done with them ---------------------------------------------------------------------------------------- */

static struct { uint64_t time, server, own; } began;

static void begin(void) {
    messages = handshakes = wireBytes = 0;
    memset(histogram, 0, sizeof histogram);
    began.time = now();
    began.server = serverCpu();
    began.own = ownCpu();
}

static int report(void) {
    double seconds = (now() - began.time) / 1e9, server = (serverCpu() - began.server) / 1e9;
    double own = (ownCpu() - began.own) / 1e9;
    uint64_t count = asked.mode == HANDSHAKES ? handshakes : messages;
    printf("{\"seconds\": %.4f, \"count\": %lu, \"server_cpu\": %.6f, \"own_cpu\": %.6f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, "
           "\"wire_bytes\": %lu, \"zlib_bytes\": %.2f, \"lost\": %lu, \"wrong\": %lu, \"missed\": %lu}\n",
           seconds, count, server, own, percentile(.5, messages) / 1e3, percentile(.99, messages) / 1e3,
           percentile(.999, messages) / 1e3, wireBytes, zlibSize, lost, wrong, missed);
    return lost || wrong || !count ? 5 : 0;
}

static int ready(struct epoll_event *events, int milliseconds) {
    int count = epoll_wait(polled, events, 512, milliseconds);
    return count < 0 ? 0 : count;
}

/* Open so many of them, from the first on that is not yet. */
static void openAll(int wanted) {
    struct epoll_event events[512];
    uint64_t limit = later(120);
    for (int started = openCount; openCount < wanted;) {
        while (started < wanted && started - openCount < asked.inFlight) connectTo(connections + started++);
        int count = ready(events, 1000);
        if (now() > limit) fail("after two minutes %d of %d connections are open", openCount, wanted);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->state == OPEN) readAll(c);
            else stepToOpen(c, events[i].events);
        }
    }
    if (lost) fail("the server ended %lu connections", lost);
}

/* Serve what is open until a time, or until `enough` messages came; each answer is followed by a message if `goesOn`. */
static void serve(uint64_t until, uint64_t enough, bool goesOn) {
    struct epoll_event events[512];
    while (now() < until && messages < enough) {
        int64_t left = (int64_t)(until - now()) / 1000000;
        int count = ready(events, left < 0 ? 0 : left > 100 ? 100 : left);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->state == OPEN && (events[i].events & EPOLLOUT)) flush(c);
            int answered = readAll(c);
            if (goesOn && answered && c->state == OPEN) say(c, answered);
        }
    }
}

static int echo(void) {
    if (asked.flood) flooding = connections + asked.idle + asked.connections;
    openAll(asked.idle + asked.connections + !!asked.flood);
    if (flooding) say(flooding, asked.flood);
    for (int i = 0; i < asked.connections; i++) say(connections + asked.idle + i, asked.depth);
    serve(later(asked.warmUp), UINT64_MAX, true);
    begin();
    serve(later(asked.seconds), UINT64_MAX, true);
    serve(later(30), AT_LEAST, true);
    return report();
}

static void again(struct connection *c) {
    struct linger reset = {1, 0}; /* no port is left waiting */
    setsockopt(c->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (c->tls) SSL_free(c->tls);
    if (c->inflater) inflateEnd(c->inflater), free(c->inflater);
    c->tls = NULL;
    c->inflater = NULL;
    close(c->socket);
    connectTo(c);
}

static void shake(uint64_t until) {
    struct epoll_event events[512];
    while (now() < until) {
        int count = ready(events, 10);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (stepToOpen(c, events[i].events)) again(c);
        }
    }
}

static int shakeHands(void) {
    for (int i = 0; i < asked.connections; i++) connectTo(connections + i);
    shake(later(asked.warmUp));
    begin();
    shake(later(asked.seconds));
    return report();
}

/* Says "open" on standard output once all is open and said, then keeps it so until standard input ends. */
static int hold(void) {
    openAll(asked.connections);
    for (int round = 1; round <= asked.messages; round++) {
        for (int i = 0; i < asked.connections; i++) say(connections + i, 1);
        serve(later(60), (uint64_t)round * asked.connections, false);
    }
    if (messages != (uint64_t)asked.messages * asked.connections) fail("not all messages came back");
    puts("open");
    fflush(stdout);
    for (struct pollfd input = {.fd = 0, .events = POLLIN}; !poll(&input, 1, 0);) serve(later(0.1), UINT64_MAX, false);
    return lost || wrong ? 5 : 0;
}

/* Messages that have not come to who is to have them. */
static uint64_t missing(void) {
    uint64_t count = 0;
    for (int i = 0; i < asked.connections; i++) count += said - connections[i].received;
    return count;
}

/* Say `first`, and hear the answer. */
static void introduce(struct connection *c) {
    uint8_t frame[1024];
    size_t size = strlen(asked.first);
    if (size > 1000) fail("--first is too long");
    enum kind kind = asked.kind;
    asked.kind = TEXT;
    size = makeFrame(frame, (const uint8_t *)asked.first, size, false);
    asked.kind = kind;
    if (put(c, frame, size) != (ssize_t)size) fail("--first was not taken at once");
    c->awaitsAnswer = true;
    for (uint64_t limit = later(10); c->awaitsAnswer;) {
        if (now() > limit) fail("--first was not answered");
        serve(later(0.001), UINT64_MAX, false);
    }
}

static int fanOut(void) {
    sender = connections + asked.connections;
    openAll(asked.connections + 1 + asked.deaf);
    for (struct connection *c = connections; *asked.first && c <= sender + asked.deaf; c++)
        if (c != sender) introduce(c);
    for (int i = 1; i <= asked.deaf; i++) epoll_ctl(polled, EPOLL_CTL_DEL, sender[i].socket, NULL);
    uint64_t step = 1000000000u / asked.rate, start = later(asked.warmUp), end = start + (uint64_t)(asked.seconds * 1e9);
    for (uint64_t next = now() + step; next < end; next += step) {
        if (!began.time && next >= start) {
            serve(later(0.2), UINT64_MAX, false); /* what the warm-up sent has come */
            begin();
            next = now(), end = later(asked.seconds);
        }
        serve(next, UINT64_MAX, false);
        sayTime(sender);
    }
    serve(later(0.3), UINT64_MAX, false);
    for (uint64_t limit = later(10); missing() && now() < limit;) serve(later(0.05), UINT64_MAX, false);
    missed = missing();
    return report();
}

/* Messages at a fixed rate until a time; `turn` is whose turn it is. */
static void pace(uint64_t until, int *turn) {
    uint64_t step = 1000000000u / asked.rate;
    for (uint64_t due = now(); due < until; due += step) {
        serve(due, UINT64_MAX, false);
        struct connection *c = connections + (*turn)++ % asked.connections;
        if (c->sent + c->queued - c->received >= BEHIND) fail("the server is %d messages behind on a connection", BEHIND);
        sayDue(c, 1, due);
    }
}

static int paced(void) {
    int turn = 0;
    openAll(asked.connections);
    pace(later(asked.warmUp), &turn);
    begin();
    pace(later(asked.seconds), &turn);
    for (uint64_t limit = later(10), left = 1; left && now() < limit; serve(later(0.01), UINT64_MAX, false)) {
        left = 0;
        for (int i = 0; i < asked.connections; i++) left += connections[i].sent + connections[i].queued - connections[i].received;
    }
    return report();
}

static void makeRequest(char *to, size_t size, const char *path, const char *protocol) {
    snprintf(to, size,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
             "Origin: http%s://127.0.0.1:%d\r\n%s%s%s%s\r\n",
             path, asked.port, asked.tls ? "s" : "", asked.port, *protocol ? "Sec-WebSocket-Protocol: " : "", protocol,
             *protocol ? "\r\n" : "",
             asked.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
}

static void prepare(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    makeRequest(request, sizeof request, asked.path, asked.protocol);
    makeRequest(senderRequest, sizeof senderRequest, asked.senderPath, "");
    makeMessages();
    readSize = asked.size >= 262144 ? 1 << 20 : 1 << 18;
    readBuffer = malloc(readSize);
    inflated = malloc(payloadSize + 1024);
    connections = calloc(asked.idle + asked.connections + asked.deaf + 1, sizeof *connections);
    polled = epoll_create1(EPOLL_CLOEXEC);
    if (asked.tls) {
        /* One cipher and one version for every server, so that it is the servers that are compared. */
        tlsContext = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(tlsContext, TLS1_3_VERSION);
        SSL_CTX_set_ciphersuites(tlsContext, "TLS_AES_256_GCM_SHA384");
        SSL_CTX_set_mode(tlsContext, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(tlsContext, 1);
        SSL_CTX_set_default_read_buffer_len(tlsContext, 1 << 17);
    }
}

int main(int count, char **words) {
    readOptions(count, words);
    prepare();
    switch (asked.mode) {
        case HANDSHAKES: return shakeHands();
        case HOLD: return hold();
        case FANOUT: return fanOut();
        case PACED: return paced();
        default: return echo();
    }
}
