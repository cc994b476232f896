/* SPDX-License-Identifier: Apache-2.0
 *
 * What reads and writes the store saw, under etcd's names. Any thread.
 */
#ifndef APPLY_COUNT_H
#define APPLY_COUNT_H

#include "apply/view.h"

/* At the start, so that all are there with 0. */
void count_init(void);
/* What was done through the view; once, at its end. */
void count_view(const struct view *view);

#endif
