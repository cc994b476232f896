/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of txn as words and as a condition; what was read is quoted and read again. */
#include "base/mem.h"
#include "ctl/lib/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const char *word)
{
    struct buf quoted, read;
    size_t used;

    buf_init(&quoted, SIZE_MAX);
    buf_init(&read, SIZE_MAX);
    gotext_quote(&quoted, slice_str(word));
    check(!err_is(gotext_unquote(buf_slice(&quoted), &read, &used)));
    check(used == quoted.len && slice_eq(buf_slice(&read), slice_str(word)));
    buf_fini(&quoted);
    buf_fini(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    const char *line = (const char *)arena_dup(arena, slice_of(data, size)).data;
    Etcdserverpb__Compare *compare;
    char **words;
    size_t count;
    struct why why;

    line = arena_strdup(arena, size ? line : "");
    (void)err_is(lines_compare(arena, line, &compare, &why));
    if (!err_is(lines_words(arena, line, &words, &count, &why))) {
        for (size_t i = 0; i < count; i++) {
            check_round_trip(words[i]);
        }
    }
    arena_free(arena);
    return 0;
}
