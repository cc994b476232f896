/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what, as far as the calls about access tell. Each fact (is it on, is there such a user
 * or role, has the user the role, what may the role do with a range) is a register, written by
 * calls of which each took effect at some time between its begin and its end, between two
 * revisions; one without an answer at any time after its begin, or never. What a register may have
 * held at a moment follows from that.
 */
#ifndef TEST_HISTORY_ACCESS_H
#define TEST_HISTORY_ACCESS_H

#include "check.h"

/* When something was decided: between two times, and at a state of the store. */
struct moment {
    int64_t from_ns, to_ns;
    int64_t revision; /* 0: not known */
    /* It made that revision: what came at it or later came after. A read may be judged by what is
     * newer than what it reads. */
    bool is_write;
};

struct access;

struct access *access_new(struct checker *checker);
void access_free(struct access *access);
/* Whether anything is known at all: else nothing is held against anybody. */
bool access_is_used(const struct access *access);

/* Bits of what it may have been: 1 off, 2 on. */
unsigned access_enabled(const struct access *access, const struct moment *at);
/* Whether the user may have been root; or surely was. */
bool access_may_be_root(struct access *access, struct slice user, const struct moment *at);
bool access_is_root(struct access *access, struct slice user, const struct moment *at);
/* Whether the user may have had the permission for all of the range; or surely had. right:
 * HISTORY_READ or HISTORY_WRITE. */
bool access_may(struct access *access, struct slice user, const struct history_grant *right,
    const struct moment *at);
bool access_has(struct access *access, struct slice user, const struct history_grant *right,
    const struct moment *at);
/* Bits of what the role may have been allowed with exactly that range: 1 << permission. */
unsigned access_granted(struct access *access, struct slice role, struct slice key,
    struct slice end, const struct moment *at);
/* Bits: 1 the user may not have had the role, 2 may have had it. */
unsigned access_linked(
    struct access *access, struct slice user, struct slice role, const struct moment *at);
/* The next role that anybody granted to the user, or range that anybody granted to the role, after
 * *cursor (NULL at first); false: no more. */
bool access_next_role(
    struct access *access, struct slice user, const void **cursor, struct slice *out_role);
bool access_next_grant(struct access *access, struct slice role, const void **cursor,
    struct slice *out_key, struct slice *out_end);

#endif
