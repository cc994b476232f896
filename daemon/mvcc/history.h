/* SPDX-License-Identifier: Apache-2.0
 * The changes between two places of the history, read a slice at a time: from the ring while it
 * still holds them, from the rows otherwise. */
#ifndef MVCC_HISTORY_H
#define MVCC_HISTORY_H

#include "state.h"

/* A place in the history, and the changes read from there. */
struct log_place {
    revision main;
    int64_t sub;
};

struct log_span {
    struct log_place from;
    struct log_place to; /* included */
};

enum { LOG_SLICE = 256, LOG_SLICE_BYTES = 8 * 1024 * 1024 };

struct log_slice {
    struct ring_item items[LOG_SLICE];
    size_t count;
    struct log_place next; /* where to go on */
    bool is_end;           /* nothing behind, up to the end asked for */
};

/* Up to LOG_SLICE changes of the span, and no more once their values are LOG_SLICE_BYTES; is_light:
 * keys only, no values. Free with log_slice_fini. */
MUST struct err log_read(
    struct mvcc *mvcc, struct log_span span, bool is_light, struct log_slice *out, struct why *why);
void log_slice_fini(struct log_slice *slice);

/* Last of what reads: TIMEOUT when the rows were replaced since reloads was read, or are now.
 * open.c */
MUST struct err reloads_check(const struct mvcc *mvcc, unsigned reloads);

#endif
