/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes, sizes and errors as Go's fmt prints them: what an etcdctl script greps for. Pure.
 */
#ifndef CTL_GOTEXT_H
#define CTL_GOTEXT_H

#include "base/buf.h"
#include "base/text.h"

#include <stdio.h>

/* %q of a string: double quotes, Go's escapes, printable UTF-8 as it is. */
void gotext_quote(struct buf *buf, struct slice bytes);
void gotext_print_quoted(FILE *out, struct slice bytes);
/* Reads a double-quoted Go string at the front of text (what Sscanf's %q takes; back quotes too)
 * into out. *out_used: bytes of text that it took. Errors: BAD_INPUT. */
MUST struct err gotext_unquote(struct slice text, struct buf *out, size_t *out_used);

enum { GOTEXT_SIZE = 32 };
/* go-humanize's Bytes: "20 kB", "1.5 MB"; powers of 1000. Fills and returns out. */
const char *gotext_bytes(uint64_t bytes, char out[GOTEXT_SIZE]);
/* %016x of a lease's id, which is signed: -2 is "-000000000000002". Fills and returns out. */
const char *gotext_lease(int64_t id, char out[GOTEXT_SIZE]);

/* strconv's ParseInt or ParseUint, base 10 or 16, 64 bits. On failure why says what strconv says:
 * strconv.ParseInt: parsing "x": invalid syntax. Errors: BAD_INPUT. */
MUST struct err gotext_parse_int(const char *text, int base, int64_t *out_value, struct why *why);
MUST struct err gotext_parse_uint(const char *text, int base, uint64_t *out_value, struct why *why);

#endif
