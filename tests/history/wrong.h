/* SPDX-License-Identifier: Apache-2.0
 *
 * The report: a paragraph for each thing that is wrong.
 */
#ifndef TEST_HISTORY_WRONG_H
#define TEST_HISTORY_WRONG_H

#include "record.h"

/* Begins a paragraph. */
void wrong(struct history *history, enum history_wrong what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds the line of that number to it; 0: none. */
void wrong_show(struct history *history, size_t number);

#endif
