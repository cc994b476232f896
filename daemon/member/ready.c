/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules over the members that need no table of their own: strict reconfiguration and the cluster
 * version, as etcd has them.
 */
#include "member/member.h"

#include <stdio.h>
#include <string.h>

struct count {
    size_t voters;
    size_t started;
};

/* Of the voters but the one with that id. */
static struct count count_voters(struct member_table *table, uint64_t but)
{
    struct arena *arena = arena_new(0);
    struct member *list;
    struct count count = {0};
    size_t members = member_list(table, arena, &list);
    for (size_t i = 0; i < members; i++) {
        if (!list[i].is_learner && list[i].id != but) {
            count.voters++;
            count.started += list[i].name[0] != '\0';
        }
    }
    arena_free(arena);
    return count;
}

static bool is_majority(size_t some, size_t all)
{
    return some >= all / 2 + 1;
}

bool member_can_add_voter(struct member_table *table)
{
    struct count count = count_voters(table, 0);
    /* One member that was restored from a snapshot has to be able to grow. */
    return (count.voters == 1 && count.started == 1) ||
           is_majority(count.started, count.voters + 1);
}

bool member_can_remove_voter(struct member_table *table, uint64_t id)
{
    struct count count = count_voters(table, id);
    return is_majority(count.started, count.voters);
}

bool member_can_promote(struct member_table *table)
{
    struct count count = count_voters(table, 0);
    return is_majority(count.started + 1, count.voters + 1);
}

bool member_version_parse(const char *text, struct member_version *out)
{
    struct member_version version;
    int end = 0;
    if (!text || text[0] < '0' || text[0] > '9' ||
        sscanf(text, "%9u.%9u%n", &version.major, &version.minor, &end) != 2 ||
        (text[end] != '\0' && text[end] != '.')) {
        return false;
    }
    *out = version;
    return true;
}

int member_version_cmp(struct member_version a, struct member_version b)
{
    if (a.major != b.major) {
        return a.major < b.major ? -1 : 1;
    }
    return (a.minor > b.minor) - (a.minor < b.minor);
}

const char *member_storage_version(struct member_table *table)
{
    const struct member_version first = {3, 5};
    const char *text = member_cluster_version(table);
    struct member_version version;
    if (!member_version_parse(text, &version)) {
        return NULL;
    }
    return member_version_cmp(version, first) < 0 ? "3.5.0" : text;
}

const char *member_storage_row(struct member_table *table)
{
    const struct member_version first = {3, 6};
    const char *text = member_cluster_version(table);
    struct member_version version;
    bool is_told = member_version_parse(text, &version) && member_version_cmp(version, first) >= 0;
    return is_told ? text : NULL;
}

/* The lowest; false when one is not known. */
static bool lowest(const char *const *versions, size_t count, struct member_version *out)
{
    for (size_t i = 0; i < count; i++) {
        struct member_version version;
        if (!member_version_parse(versions[i], &version)) {
            return false;
        }
        if (i == 0 || member_version_cmp(version, *out) < 0) {
            *out = version;
        }
    }
    return count > 0;
}

static bool is_one_below(struct member_version version, struct member_version target)
{
    return version.major == target.major && version.minor == target.minor + 1;
}

bool member_version_decide(const struct member_version *current, const char *const *versions,
    size_t count, const struct member_downgrade *downgrade, struct member_version *out)
{
    struct member_version least = {3, 0};
    struct member_version target;
    bool is_known = lowest(versions, count, &least);
    if (!current) {
        *out = is_known ? least : (struct member_version){3, 0};
        return true;
    }
    if (!is_known) {
        return false;
    }
    if (downgrade->is_enabled) {
        bool is_due = member_version_parse(downgrade->target, &target) &&
                      is_one_below(*current, target) && is_one_below(least, target);
        *out = is_due ? target : *out;
        return is_due;
    }
    if (current->major != least.major || member_version_cmp(*current, least) >= 0) {
        return false;
    }
    *out = least;
    return true;
}
