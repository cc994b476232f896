/* SPDX-License-Identifier: Apache-2.0
 *
 * Base 64 (RFC 4648), with the leniencies of Go's decoder that protobuf's JSON mapping stands on.
 * Pure.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

/* Appends the standard alphabet with padding. */
void base64_add(struct buf *buf, struct slice bytes);
/* Appends the URL alphabet without padding, as JWT has it. */
void base64_add_url(struct buf *buf, struct slice bytes);
/* Appends what text stands for. Either alphabet (not mixed), padded or not; line breaks are
 * skipped, stray low bits ignored. False, with nothing appended, when text is not base 64. */
bool base64_take(struct slice text, struct buf *out);

#endif
