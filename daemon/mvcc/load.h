/* SPDX-License-Identifier: Apache-2.0
 * Building the index from the rows, at open. */
#ifndef MVCC_LOAD_H
#define MVCC_LOAD_H

#include "index.h"

/* Fills the empty index from all 'l' rows, read and sorted by as many threads (0: as suits the rows
 * and the machine). *out_last is the last row's revision, 0 when there is none. Errors: IO,
 * BAD_CRC, BAD_FORMAT. */
MUST struct err load_index(struct backend *backend, unsigned threads, struct index *index,
    revision *out_last, struct why *why);
/* Reads them as that does, and keeps nothing. */
MUST struct err load_check(struct backend *backend, unsigned threads, struct why *why);

/* open.c: everything read of rows goes, and the index that comes, which is left empty, is of rows
 * up to the last revision. */
MUST struct err mvcc_take_index(
    struct mvcc *mvcc, struct index *index, revision last, struct why *why);

#endif
