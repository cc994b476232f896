/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include "base/err.h"

#include <sys/random.h>

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* splitmix64, to spread a small seed over the whole state. */
void rand_init(struct rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ULL;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        rand->state[i] = z ^ (z >> 31);
    }
}

/* xoshiro256** (Blackman, Vigna). */
uint64_t rand_u64(struct rand *rand)
{
    uint64_t *s = rand->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* The high half of a product, without a division but for the few that have to be drawn again
 * (Lemire). */
uint64_t rand_below(struct rand *rand, uint64_t below)
{
    check(below > 0);
    unsigned __int128 product = (unsigned __int128)rand_u64(rand) * below;
    if ((uint64_t)product < below) {
        uint64_t uneven = -below % below;
        while ((uint64_t)product < uneven) {
            product = (unsigned __int128)rand_u64(rand) * below;
        }
    }
    return (uint64_t)(product >> 64);
}

void rand_secret(void *out, size_t size)
{
    uint8_t *at = out;
    while (size) {
        ssize_t got = getrandom(at, size, 0);
        check(got > 0);
        at += got;
        size -= (size_t)got;
    }
}
