/* SPDX-License-Identifier: Apache-2.0
 *
 * What a watch command line asks for: keys, and a command to run behind "--". The words are looked
 * at twice, as they were typed and after the options were taken out, which is where etcdctl's odd
 * error texts come from. Pure.
 */
#ifndef CTL_WATCH_ARGS_H
#define CTL_WATCH_ARGS_H

#include "base/arena.h"
#include "base/err.h"

struct watch_words {
    char *const *typed; /* after "watch", "--" included */
    size_t typed_count;
    char *const *args; /* without options and "--" */
    size_t args_count;
    const char *env_key; /* ETCDCTL_WATCH_KEY, "" when not set */
    const char *env_range_end;
};

struct watch_args {
    char **keys; /* key and perhaps range end */
    size_t keys_count;
    char **exec; /* NULL-terminated */
    size_t exec_count;
};

/* is_interactive: a line of watch -i. In the arena. Errors: BAD_INPUT. */
MUST struct err watch_args_parse(struct arena *arena, const struct watch_words *words,
    bool is_interactive, struct watch_args *out, struct why *why);

#endif
