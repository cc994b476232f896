/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers: a seeded generator that pure rooms carry as data, and the kernel's for secrets.
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

struct rand {
    uint64_t state[4];
};

/* The same seed gives the same numbers, on every machine. */
void rand_init(struct rand *rand, uint64_t seed);
uint64_t rand_u64(struct rand *rand);
/* In [0, below); below > 0. */
uint64_t rand_below(struct rand *rand, uint64_t below);
/* From the kernel; aborts if it gives none. */
void rand_secret(void *out, size_t size);

#endif
