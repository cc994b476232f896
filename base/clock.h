/* SPDX-License-Identifier: Apache-2.0
 *
 * Time, for the rooms that touch the world. Pure rooms get it as data.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic; never jumps. */
int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);
/* Since 1970, UTC; may jump. */
int64_t clock_wall_ns(void);
/* "2006-01-02T15:04:05.000000Z0700" as etcd's log lines have it, e.g. 2026-01-31T09:10:11.123456Z.
 * out: 40 bytes. */
void clock_format_log(int64_t wall_ns, char *out, size_t size);

#endif
