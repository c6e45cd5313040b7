/* Payloads: their mask (RFC 6455 5.3), and whether they are UTF-8 (RFC 3629). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Unmasks `size` bytes of a payload, which follow its first `offset` bytes. `to` may be `data`. */
static inline void unmask(uint8_t *to, const uint8_t *data, size_t size, uint32_t mask, size_t offset)
{
    uint8_t key[4], turned[8];
    uint64_t wide, block[4];
    size_t at = 0;

    memcpy(key, &mask, 4);
    for (size_t i = 0; i < 8; i++)
        turned[i] = key[(offset + i) & 3];
    memcpy(&wide, turned, 8);
    for (; at + 32 <= size; at += 32) {
        memcpy(block, data + at, 32);
        block[0] ^= wide;
        block[1] ^= wide;
        block[2] ^= wide;
        block[3] ^= wide;
        memcpy(to + at, block, 32);
    }
    for (; at + 8 <= size; at += 8) {
        memcpy(block, data + at, 8);
        block[0] ^= wide;
        memcpy(to + at, block, 8);
    }
    for (; at < size; at++)
        to[at] = data[at] ^ turned[at & 7];
}

#define NOT_TEXT 0xFFFFFFFFu
#define ASCII 0x8080808080808080ull

/* The state within a character: how many bytes follow, and the least and the most that the next one may be. */
#define FOLLOW(count, least, most) ((uint32_t)(count) | (uint32_t)(least) << 8 | (uint32_t)(most) << 16)

/* Returns the state after the first byte of a character: 0 for ASCII, NOT_TEXT if no character begins so. */
static inline uint32_t leads(uint8_t byte)
{
    if (byte < 0x80)
        return 0;
    if (byte < 0xC2)
        return NOT_TEXT;
    if (byte < 0xE0)
        return FOLLOW(1, 0x80, 0xBF);
    if (byte < 0xF0)
        return FOLLOW(2, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF);
    if (byte < 0xF5)
        return FOLLOW(3, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF);
    return NOT_TEXT;
}

/* Returns a number of bytes at the beginning of the text that are all ASCII; more ASCII may follow. */
static inline size_t asciiText(const uint8_t *text, size_t size)
{
    size_t at = 0;
    uint64_t block[4];

    for (; at + 32 <= size; at += 32) {
        memcpy(block, text + at, 32);
        if ((block[0] | block[1] | block[2] | block[3]) & ASCII)
            break;
    }
    for (; at + 8 <= size; at += 8) {
        memcpy(block, text + at, 8);
        if (block[0] & ASCII)
            break;
    }
    return at;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <tmmintrin.h>

/*
 * Returns a number of bytes at the beginning of the text that are complete, valid characters; more may follow. Checks
 * sixteen bytes at a time (J. Keiser, D. Lemire: Validating UTF-8 In Less Than One Instruction Per Byte, 2021): the
 * possible errors of two adjacent bytes are looked up in three tables, by both halves of the first byte and the upper
 * half of the second. A bit that is set in all three is an error. It stops before a block with an error, and before a
 * character that continues behind the last block.
 */
__attribute__((target("ssse3"))) static size_t wideText(const uint8_t *text, size_t size)
{
    enum {
        SHORT = 1,          /* a leading byte without a continuation behind it */
        LONG = 2,           /* ASCII with a continuation behind it */
        OVERLONG_3 = 4,
        LARGE = 8,          /* beyond U+10FFFF */
        SURROGATE = 16,
        OVERLONG_2 = 32,
        OVERLONG_4 = 64,    /* or F5 and more before 80 to 8F */
        CONTINUED = 128,    /* two continuations: right only as the end of three or four bytes */
        ANY = SHORT | LONG | CONTINUED,
        BEYOND = ANY | LARGE | OVERLONG_4,
        AFTER = LONG | OVERLONG_2 | CONTINUED
    };
    const __m128i firstHigh = _mm_setr_epi8(
        LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, (char)CONTINUED, (char)CONTINUED, (char)CONTINUED, (char)CONTINUED,
        SHORT | OVERLONG_2, SHORT, SHORT | OVERLONG_3 | SURROGATE, SHORT | LARGE | OVERLONG_4);
    const __m128i firstLow = _mm_setr_epi8(
        (char)(ANY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4), (char)(ANY | OVERLONG_2), (char)ANY, (char)ANY,
        (char)(ANY | LARGE), (char)BEYOND, (char)BEYOND, (char)BEYOND, (char)BEYOND, (char)BEYOND, (char)BEYOND,
        (char)BEYOND, (char)BEYOND, (char)(BEYOND | SURROGATE), (char)BEYOND, (char)BEYOND);
    const __m128i secondHigh = _mm_setr_epi8(
        SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, (char)(AFTER | OVERLONG_3 | OVERLONG_4),
        (char)(AFTER | OVERLONG_3 | LARGE), (char)(AFTER | SURROGATE | LARGE), (char)(AFTER | SURROGATE | LARGE),
        SHORT, SHORT, SHORT, SHORT);
    const __m128i half = _mm_set1_epi8(15);
    __m128i before = _mm_setzero_si128();
    size_t at = 0;

    for (; at + 16 <= size; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(text + at));
        __m128i back1 = _mm_alignr_epi8(block, before, 15);
        __m128i back2 = _mm_alignr_epi8(block, before, 14);
        __m128i back3 = _mm_alignr_epi8(block, before, 13);
        __m128i wrong = _mm_and_si128(
            _mm_and_si128(
                _mm_shuffle_epi8(firstHigh, _mm_and_si128(_mm_srli_epi16(back1, 4), half)),
                _mm_shuffle_epi8(firstLow, _mm_and_si128(back1, half))),
            _mm_shuffle_epi8(secondHigh, _mm_and_si128(_mm_srli_epi16(block, 4), half)));
        __m128i later = _mm_or_si128(
            _mm_subs_epu8(back2, _mm_set1_epi8(0xE0 - 0x80)), _mm_subs_epu8(back3, _mm_set1_epi8((char)(0xF0 - 0x80))));
        wrong = _mm_xor_si128(_mm_and_si128(later, _mm_set1_epi8((char)0x80)), wrong);
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) != 0xFFFF)
            break;
        before = block;
    }
    for (size_t back = 1; back <= 3 && back <= at; back++) {
        uint8_t byte = text[at - back];
        if (byte >= 0xC0)
            return byte >= (back == 1 ? 0xC0 : back == 2 ? 0xE0 : 0xF0) ? at - back : at;
        if (byte < 0x80)
            break;
    }
    return at;
}

static inline size_t wholeText(const uint8_t *text, size_t size)
{
    size_t at = asciiText(text, size);

    return size - at >= 16 && __builtin_cpu_supports("ssse3") ? at + wideText(text + at, size - at) : at;
}
#else
#define wholeText asciiText
#endif

/*
 * Checks more of a text. Returns the state after it: 0 between two characters, NOT_TEXT after an invalid byte. `state`
 * is the result for the bytes before, 0 at the beginning.
 */
static inline uint32_t checkText(uint32_t state, const uint8_t *text, size_t size)
{
    size_t at = 0;

    while (at < size) {
        uint8_t byte;
        if (state == 0) {
            at += wholeText(text + at, size - at);
            if (at == size)
                return 0;
            state = leads(text[at++]);
            if (state == NOT_TEXT)
                return NOT_TEXT;
            continue;
        }
        byte = text[at++];
        if (byte < ((state >> 8) & 0xFF) || byte > (state >> 16))
            return NOT_TEXT;
        state = (state & 0xFF) == 1 ? 0 : FOLLOW((state & 0xFF) - 1, 0x80, 0xBF);
    }
    return state;
}
