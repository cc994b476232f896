/* SPDX-License-Identifier: Apache-2.0
 *
 * Protobuf messages as Go's encoding/json prints the structs that gogo made of them: names as in
 * the .proto, numbers as numbers, bytes in base64, what is empty left out. Pure.
 */
#ifndef CTL_GOJSON_H
#define CTL_GOJSON_H

#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

/* A message; NULL is "null". */
void gojson_message(struct buf *buf, const void *message);
/* Only the members, without braces ("" when all are empty): for Go's embedded structs. */
void gojson_members(struct buf *buf, const void *message);
/* A string: invalid UTF-8 becomes U+FFFD; < > & and the line separators are escaped. */
void gojson_string(struct buf *buf, const char *text);
/* Bytes as base64. */
void gojson_bytes(struct buf *buf, struct slice bytes);

#endif
