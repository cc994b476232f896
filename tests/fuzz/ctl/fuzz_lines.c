/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of txn as words and as a condition, and of watch -i as options, keys and a command; what
 * was read is quoted and read again. */
#include "base/mem.h"
#include "ctl/lib/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct slice word)
{
    struct buf quoted, read;
    size_t used;

    buf_init(&quoted, SIZE_MAX);
    buf_init(&read, SIZE_MAX);
    gotext_quote(&quoted, word);
    check(!err_is(gotext_unquote(buf_slice(&quoted), &read, &used)));
    check(used == quoted.len && slice_eq(buf_slice(&read), word));
    buf_fini(&quoted);
    buf_fini(&read);
}

/* As etcdctl's watch has them. */
static const struct cmd_option options[] = {
    {"interactive", CMD_BOOL, "false", "", 'i', false},
    {"prefix", CMD_BOOL, "false", "", 0, false},
    {"rev", CMD_INT64, "0", "", 0, false},
    {0},
};
static const struct cmd watch = {.use = "watch [key]", .options = options};

static bool is_word(const struct watch_words *words, const char *text)
{
    bool is_word = text == words->env_key || strcmp(text, words->env_key) == 0 ||
                   strcmp(text, words->env_range_end) == 0;

    for (size_t i = 0; i < words->typed_count && !is_word; i++) {
        is_word = strstr(words->typed[i], text) != NULL;
    }
    return is_word;
}

static void check_watch(struct arena *arena, const struct watch_words *words, bool is_interactive)
{
    struct watch_args args;
    struct why why = {""};

    if (err_is(watch_args_parse(arena, words, is_interactive, &args, &why))) {
        check(why.text[0]);
        return;
    }
    check(args.keys_count <= words->args_count + 2 && args.exec_count <= words->typed_count);
    for (size_t i = 0; i < args.keys_count; i++) {
        check(is_word(words, args.keys[i]));
    }
    for (size_t i = 0; i < args.exec_count; i++) {
        check(is_word(words, args.exec[i]));
    }
    check(!args.exec[args.exec_count]);
}

/* The words behind "watch". */
static void take_watch(struct arena *arena, char *const *words, size_t count)
{
    static const char *const environments[][2] = {{"", ""}, {"env", ""}, {"env", "end"}};
    struct cmd_run run = {.path = {&watch}, .depth = 1, .arena = arena};
    struct why why = {""};

    if (!cmd_parse_options(&run, count, words, &why)) {
        check(why.text[0]);
        return;
    }
    (void)cmd_int(&run, "rev");
    for (size_t i = 0; i < COUNT_OF(environments); i++) {
        struct watch_words typed = {
            words, count, run.args, run.args_count, environments[i][0], environments[i][1]};
        check_watch(arena, &typed, true);
        check_watch(arena, &typed, false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    const char *line = (const char *)arena_dup(arena, slice_of(data, size)).data;
    Etcdserverpb__Compare *compare;
    struct lines_words words;
    struct why why;

    line = arena_strdup(arena, size ? line : "");
    (void)err_is(lines_compare(arena, line, &compare, &why));
    if (!err_is(lines_split(arena, line, &words, &why))) {
        for (size_t i = 0; i < words.count; i++) {
            check_round_trip(lines_bytes(&words, words.texts[i]));
        }
        check(lines_are_whole(&words, words.texts, words.count));
        take_watch(arena, words.texts, words.count);
    }
    arena_free(arena);
    return 0;
}
