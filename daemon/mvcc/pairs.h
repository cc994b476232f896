/* SPDX-License-Identifier: Apache-2.0
 * A walk over 'l' rows with the 'd' row of each put beside it, in revision order. */
#ifndef MVCC_PAIRS_H
#define MVCC_PAIRS_H

#include "row.h"

struct pairs {
    struct backend_iter *rows;
    struct backend_iter *values;
};

/* Up to and including revision to. */
void pairs_open(struct pairs *pairs, struct backend *backend,
    const struct backend_snapshot *snapshot, revision to);
/* *out_is_end at the end. row->key and value are lent until the next call. Errors: BAD_FORMAT (a
 * put without its value), BAD_CRC, IO. */
MUST struct err pairs_next(struct pairs *pairs, struct row *out, struct slice *out_value,
    bool *out_is_end, struct why *why);
void pairs_close(struct pairs *pairs);

#endif
