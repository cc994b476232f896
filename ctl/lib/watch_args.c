/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/watch_args.h"

#include "base/mem.h"

static const char bad_number[] = "bad number of arguments";
static const char bad_environment[] = "bad number of arguments (found conflicting environment key)";
static const char bad_separator[] = "bad number of arguments (found separator --, but no commands)";

static size_t find_separator(const struct watch_words *words)
{
    size_t i = 0;

    while (i < words->typed_count && strcmp(words->typed[i], "--") != 0) {
        i++;
    }
    return i;
}

/* True when the arguments hold more than the command behind "--", though the environment names the
 * key. */
static bool conflicts_with_env(const struct watch_words *words, size_t separator)
{
    size_t typed = words->typed_count - 1;

    for (size_t arg = words->args_count; arg-- > 0;) {
        if (strcmp(words->args[arg], words->typed[typed]) == 0) {
            typed--;
        } else if (typed == separator) {
            return true;
        }
    }
    return false;
}

static struct err check_words(
    const struct watch_words *words, bool is_interactive, size_t separator, struct why *why)
{
    bool has_exec = separator < words->typed_count;
    bool has_env = *words->env_key != '\0';

    if (has_exec && separator + 1 == words->typed_count) {
        return why_set(why, ERR(BAD_INPUT), "%s", bad_separator);
    }
    if (!has_exec && !has_env && (is_interactive ? words->args_count : words->typed_count) == 0) {
        return why_set(why, ERR(BAD_INPUT), "%s", bad_number);
    }
    if (has_env && (has_exec ? !is_interactive && conflicts_with_env(words, separator)
                             : words->args_count > 0)) {
        return why_set(why, ERR(BAD_INPUT), "%s", bad_environment);
    }
    return OK;
}

struct err watch_args_parse(struct arena *arena, const struct watch_words *words,
    bool is_interactive, struct watch_args *out, struct why *why)
{
    size_t separator = find_separator(words);
    struct watch_args made = {0};

    TRY(check_words(words, is_interactive, separator, why));
    made.keys = arena_zalloc(arena, (words->args_count + 3) * sizeof(*made.keys));
    if (*words->env_key) {
        made.keys[made.keys_count++] = arena_strdup(arena, words->env_key);
        if (*words->env_range_end) {
            made.keys[made.keys_count++] = arena_strdup(arena, words->env_range_end);
        }
    }
    for (size_t i = 0; i < words->args_count; i++) {
        made.keys[made.keys_count++] = words->args[i];
    }
    made.exec = arena_zalloc(arena, (words->typed_count + 1) * sizeof(*made.exec));
    for (size_t i = separator + 1; i < words->typed_count; i++) {
        made.exec[made.exec_count++] = words->typed[i];
    }
    while (made.exec_count > 0 && made.keys_count > 0 &&
           strcmp(made.keys[--made.keys_count], made.exec[0]) != 0) {
    }
    *out = made;
    return OK;
}
