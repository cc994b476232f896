/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a JSON value ends, fed piece by piece; what is wrong with one, in the words of Go's
 * encoding/json. Pure.
 */
#ifndef GATEWAY_SCAN_H
#define GATEWAY_SCAN_H

#include "base/slice.h"

enum { SCAN_DEPTH_MAX = 200, SCAN_ERROR_MAX = 96 };

enum scan_result {
    SCAN_MORE,   /* no end yet */
    SCAN_VALUE,  /* a whole value */
    SCAN_NONE,   /* at the end of the input: nothing but white space */
    SCAN_BROKEN, /* error says how */
};

struct scan {
    int state;
    unsigned depth;
    uint8_t nest[SCAN_DEPTH_MAX];
    const char *literal; /* which of true, false, null */
    unsigned literal_len;
    unsigned hex_len;
    bool has_begun;
    char error[SCAN_ERROR_MAX];
};

void scan_init(struct scan *scan);
/* Takes from data up to the end of the value; with SCAN_VALUE, *out_taken bytes of data belong to
 * it (and to the white space before it). */
enum scan_result scan_feed(struct scan *scan, struct slice data, size_t *out_taken);
/* The input ends here. */
enum scan_result scan_end(struct scan *scan);

#endif
