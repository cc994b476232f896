/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the disk can hold a snapshot that comes in: asked once for what its sender announces, if
 * it does, and again and again while it comes. A database is needed twice, itself and the store
 * that is made of it; rows and files become the store. An eighth of what is free stays.
 */
#ifndef PEER_SNAPSPACE_H
#define PEER_SNAPSPACE_H

#include "disk/disk.h"

struct snapspace {
    struct disk *disk;
    const char *dir; /* borrowed */
    bool is_twice;
    uint64_t kept; /* bytes that stay free */
    uint64_t next; /* received bytes at which the disk is asked again */
};

/* announced 0: nobody knows how much will come. Errors: NO_DISK. */
MUST struct err snapspace_init(struct snapspace *space, uint64_t announced, struct why *why);
/* So much has come in all. Errors: NO_DISK. */
MUST struct err snapspace_came(struct snapspace *space, uint64_t bytes, struct why *why);

#endif
