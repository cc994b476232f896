/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <pthread.h>

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t (*update)(uint32_t crc, const uint8_t *at, size_t len);

static uint32_t update_table(uint32_t crc, const uint8_t *at, size_t len)
{
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        word ^= crc; /* little-endian hosts only, as the whole tree */
        crc = 0;
        for (int i = 0; i < 8; i++) {
            crc ^= table[7 - i][(word >> (8 * i)) & 0xff];
        }
    }
    while (len--) {
        crc = table[0][(crc ^ *at++) & 0xff] ^ (crc >> 8);
    }
    return crc;
}

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78U : 0);
        }
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            table[k][i] = table[0][table[k - 1][i] & 0xff] ^ (table[k - 1][i] >> 8);
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t update_sse42(
    uint32_t crc, const uint8_t *at, size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    while (len--) {
        crc = __builtin_ia32_crc32qi(crc, *at++);
    }
    return crc;
}

static void choose(void)
{
    make_tables();
    update = __builtin_cpu_supports("sse4.2") ? update_sse42 : update_table;
}
#else
static void choose(void)
{
    make_tables();
    update = update_table;
}
#endif

uint32_t crc32c(uint32_t crc, struct slice bytes)
{
    pthread_once(&once, choose);
    return ~update(~crc, bytes.data, bytes.len);
}
