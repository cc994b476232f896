/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8, as strictly as Go: no surrogates, nothing over-long, nothing past U+10FFFF. Pure.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/arena.h"
#include "base/buf.h"

/* Bytes of the first character, or 0 when there is none that is valid (*out_rune is then
 * untouched). */
size_t utf8_take(struct slice text, uint32_t *out_rune);
/* Appends the character; what is no character is appended as U+FFFD. */
void utf8_add(struct buf *buf, uint32_t rune);
bool utf8_is_valid(struct slice text);
/* The text with U+FFFD for each byte that is of no character, as JSON has it. */
const char *utf8_mend(struct arena *arena, const char *text);

#endif
