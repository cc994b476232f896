/* SPDX-License-Identifier: Apache-2.0
 * The JSON of a member in a conf change entry, or of all in an answer, from any bytes: refused, or
 * written again as text that reads and writes the same. */
#include "base/mem.h"
#include "member/member.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct member member = {0};
    struct member again = {0};
    bool is_promote = false;
    if (!err_is(member_from_json(slice_of(data, size), arena, &member, &is_promote))) {
        struct slice text = member_to_json(&member, arena);
        check(!err_is(member_from_json(text, arena, &again, &is_promote)));
        check(again.id == member.id && again.is_learner == member.is_learner);
        check(again.peer_urls_count == member.peer_urls_count);
        check(slice_eq(member_to_json(&again, arena), text));
    }
    struct member *list;
    size_t count;
    if (!err_is(member_list_from_json(slice_of(data, size), arena, &list, &count))) {
        for (size_t i = 0; i < count; i++) {
            (void)member_to_json(&list[i], arena);
        }
    }
    arena_free(arena);
    return 0;
}
