/* SPDX-License-Identifier: Apache-2.0
 *
 * Permission checks. Each user's permissions are kept as merged spans of the key space, one list
 * for reading and one for writing, so that a check is a search. A range is allowed when one merged
 * span holds all of it: two that touch were merged.
 */
#include "auth/state.h"

#include "base/mutation.h"
#include "base/pb.h"

static bool is_all_that_follow(struct slice end)
{
    return end.len == 1 && end.data[0] == 0;
}

static int begin_cmp(const void *a, const void *b)
{
    return slice_cmp(((const struct span *)a)->begin, ((const struct span *)b)->begin);
}

/* Whether the end of a comes before b. */
static bool ends_before(const struct span *span, struct slice key)
{
    return !span->is_open && slice_cmp(span->end, key) < 0;
}

static void merge(struct spans *spans)
{
    size_t kept = 0;
    if (spans->count) {
        qsort(spans->items, spans->count, sizeof(*spans->items), begin_cmp);
    }
    for (size_t i = 0; i < spans->count; i++) {
        struct span next = spans->items[i];
        struct span *last = kept ? &spans->items[kept - 1] : NULL;
        if (!last || ends_before(last, next.begin)) {
            spans->items[kept++] = next;
        } else if (!last->is_open && (next.is_open || slice_cmp(last->end, next.end) < 0)) {
            last->end = next.end;
            last->is_open = next.is_open;
        }
    }
    spans->count = kept;
}

static struct span span_of(const struct permission *permission)
{
    struct slice key = permission_key(permission);
    struct slice end = blob_slice(permission->range_end);
    return (struct span){
        key, end.len ? end : blob_slice(permission->point), is_all_that_follow(end)};
}

static void add(struct spans *spans, struct span span)
{
    spans->items = mem_grow(spans->items, (spans->count + 1) * sizeof(*spans->items));
    spans->items[spans->count++] = span;
}

static void add_role(struct user *user, const struct role *role)
{
    for (size_t i = 0; i < role->count; i++) {
        struct span span = span_of(&role->permissions[i]);
        int type = (int)role->permissions[i].type;
        if (!span.is_open && slice_cmp(span.begin, span.end) >= 0) {
            continue; /* of an old store; it allows nothing */
        }
        if (type == AUTHPB__PERMISSION__TYPE__READ || type == AUTHPB__PERMISSION__TYPE__READWRITE) {
            add(&user->reads, span);
        }
        if (type == AUTHPB__PERMISSION__TYPE__WRITE ||
            type == AUTHPB__PERMISSION__TYPE__READWRITE) {
            add(&user->writes, span);
        }
    }
}

void permit_refresh(struct auth_table *table)
{
    for (size_t i = 0; i < table->users.count; i++) {
        struct user *user = table->users.items[i];
        user->reads.count = 0;
        user->writes.count = 0;
        for (size_t j = 0; j < user->roles.count; j++) {
            const struct role *role = role_find(table, user->roles.items[j]);
            if (role) {
                add_role(user, role);
            }
        }
        merge(&user->reads);
        merge(&user->writes);
    }
}

/* The last span that begins at key or before it. */
static const struct span *at_or_before(const struct spans *spans, struct slice key)
{
    size_t low = 0;
    size_t high = spans->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (slice_cmp(spans->items[mid].begin, key) <= 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low ? &spans->items[low - 1] : NULL;
}

/* Open ends are normalised here, before anything is compared. */
static bool holds(const struct spans *spans, struct slice key, struct slice range_end)
{
    const struct span *span = at_or_before(spans, key);
    if (!span) {
        return false;
    }
    if (is_all_that_follow(range_end)) {
        return span->is_open;
    }
    if (!span->is_open && slice_cmp(key, span->end) >= 0) {
        return false;
    }
    return range_end.len == 0 || span->is_open || slice_cmp(range_end, span->end) <= 0;
}

static struct err judge(struct auth_table *table, const struct auth_caller *caller,
    struct slice key, struct slice end, bool is_write)
{
    const struct user *user = user_find(table, caller->username ? caller->username : "");
    if (!user) {
        return ERR(PERMISSION_DENIED);
    }
    const struct spans *spans = is_write ? &user->writes : &user->reads;
    return user_is_root(user) || holds(spans, key, end) ? OK : ERR(PERMISSION_DENIED);
}

static struct err may(struct auth_table *table, const struct auth_caller *caller, struct slice key,
    struct slice end, bool is_write)
{
    if (!auth_is_enabled(table)) {
        return OK;
    }
    if (caller->revision == 0) {
        return ERR(USER_EMPTY);
    }
    if (caller->revision < auth_revision(table)) {
        return MUTATE(PERMISSION_OLD) ? OK : ERR(AUTH_OLD_REVISION);
    }
    pthread_rwlock_rdlock(&table->lock);
    struct err err = judge(table, caller, key, end, is_write);
    pthread_rwlock_unlock(&table->lock);
    return err;
}

struct err auth_may_read(struct auth_table *table, const struct auth_caller *caller,
    struct slice key, struct slice range_end)
{
    return may(table, caller, key, range_end, false);
}

struct err auth_may_write(struct auth_table *table, const struct auth_caller *caller,
    struct slice key, struct slice range_end)
{
    return may(table, caller, key, range_end, true);
}

struct err auth_may_administer(struct auth_table *table, const struct auth_caller *caller)
{
    if (!auth_is_enabled(table)) {
        return OK;
    }
    if (!caller->username || !caller->username[0]) {
        return ERR(USER_EMPTY);
    }
    pthread_rwlock_rdlock(&table->lock);
    const struct user *user = user_find(table, caller->username);
    struct err err = !user                 ? ERR(USER_NOT_FOUND)
                     : !user_is_root(user) ? ERR(PERMISSION_DENIED)
                                           : OK;
    pthread_rwlock_unlock(&table->lock);
    return err;
}
