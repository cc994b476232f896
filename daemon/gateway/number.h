/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON numbers as integers, the way protojson reads them: "1.0e1" is 10, "1.5" is nothing. Pure.
 */
#ifndef GATEWAY_NUMBER_H
#define GATEWAY_NUMBER_H

#include "base/slice.h"

/* text is a JSON number. False: not an integer of so many bits. */
bool number_signed(struct slice text, unsigned bits, int64_t *out);
bool number_unsigned(struct slice text, unsigned bits, uint64_t *out);
/* The number that a string holds; empty when it holds none. Go looks at the first token only, so
 * "1,2" is 1. */
struct slice number_in_text(struct slice text);

#endif
