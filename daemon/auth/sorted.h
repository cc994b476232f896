/* SPDX-License-Identifier: Apache-2.0
 *
 * Small sets in the order of their names.
 */
#ifndef AUTH_SORTED_H
#define AUTH_SORTED_H

#include <stdbool.h>
#include <stddef.h>

/* Texts in order, owned. */
struct texts {
    char **items;
    size_t count;
};

/* Things in the order of their names, which stand first in each. */
struct sorted {
    void **items;
    size_t count;
};

/* Where name stands, or would. */
size_t texts_find(const struct texts *texts, const char *name, bool *out_is_there);
void texts_add(struct texts *texts, const char *name);
/* False when it is not there. */
bool texts_remove(struct texts *texts, const char *name);
void texts_fini(struct texts *texts);

/* NULL when it is not there. */
void *sorted_find(const struct sorted *sorted, const char *name);
/* No such name may be there. */
void sorted_insert(struct sorted *sorted, void *item);
/* Gives it back; NULL when it is not there. */
void *sorted_take(struct sorted *sorted, const char *name);

#endif
