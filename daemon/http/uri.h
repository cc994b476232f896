/* SPDX-License-Identifier: Apache-2.0
 *
 * The target of a request, taken apart and decoded. Pure.
 */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include "base/buf.h"

/* Parts as they came, with their escapes. */
struct uri {
    struct slice authority; /* of an absolute target */
    struct slice path;      /* starts with '/' */
    struct slice query;     /* behind the '?' */
};

/* False: neither a path nor an http(s) URL, or bytes in it that no URL has. */
bool uri_split(struct slice target, struct uri *out);
/* Appends text with its %XX undone (and '+' as a space, in a query). False: a bad escape; what was
 * appended stays. */
bool uri_decode(struct slice text, bool is_query, struct buf *out);

#endif
