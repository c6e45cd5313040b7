/* Payloads: their mask (RFC 6455 5.3), and whether they are UTF-8 (RFC 3629). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Writes `size` bytes of a payload without their mask; `offset` of its bytes came before these. `to` may be `data`. */
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

/* The state after a byte that begins a character: how many bytes follow, and from where to where the next may be. */
#define FOLLOW(count, least, most) ((uint32_t)(count) | (uint32_t)(least) << 8 | (uint32_t)(most) << 16)

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

/*
 * Checks more of a text: the state after it, 0 between two characters, NOT_TEXT as soon as no character can begin like
 * this. `state` is what the bytes before gave, 0 at the beginning.
 */
static inline uint32_t checkText(uint32_t state, const uint8_t *text, size_t size)
{
    size_t at = 0;
    uint64_t block;

    while (at < size) {
        if (state == 0) {
            while (at + 8 <= size) {
                memcpy(&block, text + at, 8);
                if (block & ASCII)
                    break;
                at += 8;
            }
            if (at == size)
                return 0;
            state = leads(text[at++]);
            if (state == NOT_TEXT)
                return NOT_TEXT;
        } else {
            uint8_t byte = text[at++];
            if (byte < ((state >> 8) & 0xFF) || byte > (state >> 16))
                return NOT_TEXT;
            state = (state & 0xFF) == 1 ? 0 : FOLLOW((state & 0xFF) - 1, 0x80, 0xBF);
        }
    }
    return state;
}
