/* SPDX-License-Identifier: Apache-2.0
 *
 * The store's own files on their way to another member whose store reads them as they are,
 * big-endian:
 *   repeated file: u64 length, name in 32 bytes (zeros behind it), u64 CRC-32C of these 40,
 *                  the file's bytes, u64 their CRC-32C
 *   the end:       the same head with length 0 and no name
 */
#ifndef SNAPSHOT_PACK_H
#define SNAPSHOT_PACK_H

#include "backend/backend.h"
#include "disk/disk.h"

enum { PACK_NAME = 32, PACK_HEAD = 48, PACK_CRC_AT = 40, PACK_FOOT = 8, PACK_FILES_MAX = 10000 };

struct pack;

/* Makes the files' second names in a folder of its own under dir. Errors: TOO_BIG (more than
 * PACK_FILES_MAX) and disk's. */
MUST struct err pack_new(struct disk *disk, const char *dir, struct backend *backend,
    struct pack **out, struct why *why);
/* Removes the folder. NULL is fine. */
void pack_free(struct pack *pack);
/* Of all that pack_read gives. */
uint64_t pack_bytes(const struct pack *pack);
/* *out_got 0: that was all. */
MUST struct err pack_read(
    struct pack *pack, void *out, size_t size, size_t *out_got, struct why *why);

#endif
