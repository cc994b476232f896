/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a store from elsewhere, looked through where RocksDB would not do it, or too late. Any
 * thread. Errors: BAD_CRC, IO.
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

#endif
