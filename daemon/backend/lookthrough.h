/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a store from elsewhere, and of any its list of files, looked through where RocksDB would
 * not do it, or too late. Any thread. Errors: BAD_CRC, IO.
 */
#ifndef BACKEND_LOOKTHROUGH_H
#define BACKEND_LOOKTHROUGH_H

#include "base/err.h"
#include "base/slice.h"

#include <stdio.h>

/* The file, or bytes that are what is in it. NULL: errno says why. */
FILE *store_file_open(const char *path, struct slice bytes);
/* All records of a file of values against their checksums. */
MUST struct err blobfile_check(const char *path, struct slice bytes, struct why *why);
/* What RocksDB would not look at before it trusts it. */
MUST struct err tablefile_check(const char *path, struct slice bytes, struct why *why);
/* Of the store in this folder: what RocksDB would take for the end of its MANIFEST is one. Fine
 * when there is none. */
MUST struct err manifest_check(const char *folder, struct why *why);

/* RocksDB's way to write down a CRC-32C: turned and shifted. */
static inline uint32_t rocks_mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

#endif
