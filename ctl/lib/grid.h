/* SPDX-License-Identifier: Apache-2.0
 *
 * The +---+ tables of etcdctl and etcdutl: titles in capitals and centred, cells to the right,
 * words wrapped at 30 columns. Pure.
 */
#ifndef CTL_GRID_H
#define CTL_GRID_H

#include "base/arena.h"

#include <stdio.h>

struct grid {
    const char *const *titles;
    size_t columns;
    const char *const **rows; /* each of columns cells */
    size_t rows_count;
    size_t rows_max;
    struct arena *arena;
};

void grid_init(struct grid *grid, struct arena *arena, const char *const *titles, size_t columns);
/* Borrows the cells; the array itself is copied. */
void grid_add(struct grid *grid, const char *const *cells);
void grid_print(const struct grid *grid, FILE *out);
/* The rows as the simple format has them: cells with ", " between. */
void grid_print_plain(const struct grid *grid, FILE *out);

#endif
