/*
 * canvas: one painter and many viewers of a canvas, from one thread on one epoll set. It prints one line of JSON.
 *
 *     canvas PORT PATH VIEWERS RATE WARM-UP SECONDS
 *
 * Frames of 400 x 320 are painted RATE times a second. Each carries its number at both ends and the time at which it was
 * due; every viewer reads every byte, and looks at both ends and at the number in the line before. A frame's delay is from
 * when it was due until its last byte was read: a client that is late itself counts against the server. One viewer more
 * is opened and does not read until the end; then it is seen what waited for it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
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

#define PIXELS 512000
#define HEAD 14 /* of a masked frame with a length of 64 bits */
#define MOST_VIEWERS 1000
#define SECOND 1000000000ull

struct mark { /* at the begin of a frame; its end repeats the number */
    uint64_t number, due;
};

struct connection {
    int fd;
    bool isOpen;
    uint8_t head[10];
    int headSize, headLength; /* what there is of it, and what is needed */
    uint64_t size, at;        /* of the payload, and how much of it was read */
    union {
        struct mark mark;
        char text[256];
    } begin;
    uint64_t end;
    uint64_t said, last;      /* the number in the newest line, and of the newest frame, as the daemon counts */
    uint64_t newest;          /* and as the painter does */
    uint64_t frames, skipped;
};

static struct connection *viewers, painter, asleep;
static int viewerCount, set;
static uint8_t frame[HEAD + PIXELS], buffer[1 << 18];
static size_t unsent;
static uint64_t painted, receipts, late, faults, firstMeasured, countedFrames, countedSkipped, bytes;
static uint32_t *delays;
static size_t delayCount, delayRoom;
static bool isMeasured;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "canvas: ");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(2);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* -- connections -------------------------------------------------------------------------------------------------- */

static void nextFrame(struct connection *one) {
    one->headSize = 0;
    one->headLength = 2;
}

/* Opens one; what comes behind the answer stays in the kernel. */
static void opened(struct connection *one, int port, const char *path, const char *query) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int yes = 1;
    one->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(one->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    dprintf(one->fd,
            "GET %s?%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            path, query);
    char answer[2048] = "";
    for (size_t size = 0; !strstr(answer, "\r\n\r\n"); answer[++size] = 0)
        if (size == sizeof answer - 1 || read(one->fd, answer + size, 1) != 1) fail("no answer to the opening");
    if (strncmp(answer, "HTTP/1.1 101", 12)) fail("refused: %s", answer);
    fcntl(one->fd, F_SETFL, O_NONBLOCK);
    nextFrame(one);
    one->isOpen = true;
}

static void watch(struct connection *one, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = one};
    if (epoll_ctl(set, how, one->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

/* -- what comes --------------------------------------------------------------------------------------------------- */

static void delayed(uint64_t time) {
    if (delayCount == delayRoom) delays = realloc(delays, (delayRoom = delayRoom ? 2 * delayRoom : 1 << 16) * sizeof *delays);
    if (!delays) fail("out of memory");
    delays[delayCount++] = time / 1000 > UINT32_MAX ? UINT32_MAX : time / 1000;
}

static void sawFrame(struct connection *one) {
    struct mark *mark = &one->begin.mark;
    if (one->size != PIXELS || mark->number != one->end || one->said <= one->last || mark->number <= one->newest) faults++;
    one->frames++;
    if (isMeasured && mark->number >= firstMeasured) {
        countedFrames++;
        if (one->last) countedSkipped += one->said - one->last - 1;
        delayed(now() - mark->due);
    }
    one->last = one->said;
    one->newest = mark->number;
}

static void sawLine(struct connection *one) {
    one->begin.text[one->size < 255 ? one->size : 255] = 0;
    const char *number = strstr(one->begin.text, "\"frame\":");
    if (!number) fail("said: %s", one->begin.text);
    one->said = strtoull(number + 8, NULL, 10);
    receipts += one == &painter;
}

static void sawPing(struct connection *one) {
    uint8_t pong[6 + 125] = {0x8a, 0x80 | one->size};
    memcpy(pong + 6, one->begin.text, one->size);
    if (one != &painter || !unsent)
        if (write(one->fd, pong, 6 + one->size) < 0) fail("write: %s", strerror(errno));
}

static void sawMessage(struct connection *one) {
    switch (one->head[0]) {
        case 0x82: sawFrame(one); break;
        case 0x81: sawLine(one); break;
        case 0x89: sawPing(one); break;
        default: fail("a frame of the kind %#x: %s", one->head[0], one->begin.text + 2);
    }
    nextFrame(one);
}

/* Keeps the begin of a payload and its last eight bytes. */
static void kept(struct connection *one, const uint8_t *data, size_t size) {
    if (one->at < sizeof one->begin) {
        size_t room = sizeof one->begin - one->at;
        memcpy((char *)&one->begin + one->at, data, size < room ? size : room);
    }
    uint64_t tail = one->size < 8 ? 0 : one->size - 8;
    for (uint64_t place = one->at > tail ? one->at : tail; place < one->at + size && place < tail + 8; place++)
        ((uint8_t *)&one->end)[place - tail] = data[place - one->at];
    one->at += size;
}

static void heard(struct connection *one, const uint8_t *data, size_t size) {
    while (size) {
        if (one->headSize < one->headLength) {
            one->head[one->headSize++] = *data++;
            size--;
            if (one->headSize == 2) one->headLength = one->head[1] == 127 ? 10 : one->head[1] == 126 ? 4 : 2;
            if (one->headSize < one->headLength) continue;
            one->size = one->head[1] < 126 ? one->head[1] : 0;
            for (int i = 2; i < one->headLength; i++) one->size = one->size << 8 | one->head[i];
            one->at = 0;
        }
        size_t part = size < one->size - one->at ? size : one->size - one->at;
        kept(one, data, part);
        data += part;
        size -= part;
        if (one->at == one->size) sawMessage(one);
    }
}

static bool hasRead(struct connection *one) {
    ssize_t size = read(one->fd, buffer, sizeof buffer);
    if (size > 0) {
        bytes += size;
        heard(one, buffer, size);
        return true;
    }
    if (!size || errno != EAGAIN) fail("a connection was lost");
    return false;
}

/* -- what is painted ---------------------------------------------------------------------------------------------- */

static void sendRest(void) {
    ssize_t sent = write(painter.fd, frame + sizeof frame - unsent, unsent);
    if (sent < 0 && errno != EAGAIN) fail("the painter's connection was lost");
    if (sent > 0) unsent -= sent;
    watch(&painter, EPOLL_CTL_MOD, unsent ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void paint(uint64_t due) {
    if (unsent) {
        late++;
        return;
    }
    struct mark mark = {++painted, due};
    memcpy(frame + HEAD, &mark, sizeof mark);
    memcpy(frame + sizeof frame - 8, &painted, 8);
    unsent = sizeof frame;
    sendRest();
}

/* Paints and reads until then. */
static void run(uint64_t until, uint64_t interval, bool paints) {
    struct epoll_event events[256];
    uint64_t due = now();
    for (uint64_t time = due; time < until; time = now()) {
        if (paints && time >= due) {
            paint(due);
            due += interval;
        }
        uint64_t next = paints && due < until ? due : until;
        time = now();
        int count = epoll_wait(set, events, 256, next > time ? (next - time) / 1000000 : 0);
        for (int i = 0; i < count; i++) {
            struct connection *one = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) sendRest();
            if (events[i].events & ~EPOLLOUT) hasRead(one);
        }
    }
}

/* -- what is told ------------------------------------------------------------------------------------------------- */

static int compared(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static double delay(double share) {
    return delayCount ? delays[(size_t)(share * (delayCount - 1))] / 1000.0 : 0;
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **words) {
    if (count != 7) fail("usage: canvas PORT PATH VIEWERS RATE WARM-UP SECONDS");
    int port = atoi(words[1]), rate = atoi(words[4]);
    double warmUp = atof(words[5]), seconds = atof(words[6]);
    viewerCount = atoi(words[3]);
    if (viewerCount < 1 || viewerCount > MOST_VIEWERS || rate < 1) fail("1 to %d viewers, and a rate", MOST_VIEWERS);
    viewers = calloc(viewerCount, sizeof *viewers);
    set = epoll_create1(0);

    uint8_t head[HEAD] = {0x82, 0x80 | 127, 0, 0, 0, 0, 0, PIXELS >> 16 & 255, PIXELS >> 8 & 255, PIXELS & 255};
    memcpy(frame, head, HEAD);
    for (int i = 0; i < PIXELS; i++) frame[HEAD + i] = i * 31;
    for (int i = 0; i < viewerCount; i++) {
        opened(&viewers[i], port, words[2], "role=viewer&meta");
        watch(&viewers[i], EPOLL_CTL_ADD, EPOLLIN);
    }
    opened(&asleep, port, words[2], "role=viewer&meta");
    opened(&painter, port, words[2], "role=painter");
    watch(&painter, EPOLL_CTL_ADD, EPOLLIN);

    uint64_t interval = SECOND / rate;
    run(now() + warmUp * SECOND, interval, true);
    printf("warm\n");
    fflush(stdout);
    uint64_t lateBefore = late, bytesBefore = bytes, began = now();
    double cpuBefore = cpu();
    isMeasured = true;
    firstMeasured = painted + 1;
    run(began + seconds * SECOND, interval, true);
    uint64_t frames = painted - firstMeasured + 1;
    double took = (now() - began) / 1e9, used = cpu() - cpuBefore;
    uint64_t carried = bytes - bytesBefore;
    printf("measured\n");
    fflush(stdout);
    run(now() + SECOND / 2, interval, false);
    isMeasured = false;

    uint64_t missing = 0;
    for (int i = 0; i < viewerCount; i++) missing += viewers[i].last != painter.said;
    watch(&asleep, EPOLL_CTL_ADD, EPOLLIN);
    run(now() + SECOND, interval, false);

    qsort(delays, delayCount, sizeof *delays, compared);
    printf("{\"painted\":%lu,\"late\":%lu,\"seen\":%lu,\"skipped\":%lu,\"faults\":%lu,\"behind\":%lu,"
           "\"p50\":%.1f,\"p99\":%.1f,\"worst\":%.1f,\"rate\":%.0f,\"cpu\":%.2f,"
           "\"asleep\":{\"frames\":%lu,\"isNewest\":%s}}\n",
           frames, late - lateBefore, countedFrames, countedSkipped, faults, missing, delay(.5), delay(.99), delay(1),
           carried / took / 1e6, used / took, asleep.frames, asleep.newest == painted ? "true" : "false");
    return 0;
}
