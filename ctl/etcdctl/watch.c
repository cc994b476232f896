/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <pthread.h>
#include <unistd.h>

static const struct cmd_option options[] = {
    {"interactive", CMD_BOOL, "false", "Interactive mode", 'i', false},
    {"prefix", CMD_BOOL, "false", "Watch on a prefix if prefix is set", 0, false},
    {"rev", CMD_INT64, "0", "Revision to start watching", 0, false},
    {"prev-kv", CMD_BOOL, "false", "get the previous key-value pair before the event happens", 0,
        false},
    {"progress-notify", CMD_BOOL, "false", "get periodic watch progress notification from server",
        0, false},
    {0},
};

static const char *env_text(const char *name)
{
    const char *text = getenv(name);
    return text ? text : "";
}

static struct slice key_bytes(const struct cmd_run *run, const char *key)
{
    return run->words ? lines_bytes(run->words, key) : slice_str(key);
}

/* False: why says what is wrong with the keys. */
static bool spec_of(const struct cmd_run *run, const struct watch_args *args,
    struct watch_spec *out, struct why *why)
{
    if (args->keys_count == 0) {
        (void)why_set(why, ERR(BAD_INPUT), "bad number of arguments");
        return false;
    }
    *out = (struct watch_spec){
        .key = key_bytes(run, args->keys[0]),
        .range_end = args->keys_count == 2 ? key_bytes(run, args->keys[1]) : (struct slice){0},
        .has_range_end = args->keys_count == 2,
        .is_prefix = cmd_bool(run, "prefix"),
        .has_prev_kv = cmd_bool(run, "prev-kv"),
        .wants_progress = cmd_bool(run, "progress-notify"),
        .revision = cmd_int(run, "rev"),
        .exec = args->exec_count ? args->exec : NULL,
    };
    if (out->has_range_end && out->is_prefix) {
        (void)why_set(why, ERR(BAD_INPUT), "`range_end` and `--prefix` are mutually exclusive");
        return false;
    }
    return true;
}

/* The words behind "watch", as they were typed. */
static void set_typed(const struct cmd_run *run, struct watch_words *words)
{
    size_t i = 0;

    while (i < run->argc && strcmp(run->argv[i], "watch") != 0) {
        i++;
    }
    i = i < run->argc ? i + 1 : 0;
    words->typed = run->argv + i;
    words->typed_count = run->argc - i;
}

/* A line of interactive mode: 0 to go on, or an exit code. line: what run parses. */
static int add_line(struct cmd_run *run, struct watch_session *session, const char *line,
    struct watch_words *words, bool *out_added)
{
    struct watch_args args;
    struct watch_spec spec;
    struct why why;

    if (!cmd_parse_options(run, words->typed_count, words->typed, &why)) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "%s", why.text);
    }
    words->args = run->args;
    words->args_count = run->args_count;
    if (err_is(watch_args_parse(run->arena, words, true, &args, &why))) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "%s", why.text);
    }
    if (!lines_are_whole(run->words, args.keys, args.keys_count)) {
        return cmd_fail(CMD_EXIT_INVALID_INPUT, "a NUL in a word that is no key: %s", line);
    }
    if (!spec_of(run, &args, &spec, &why)) {
        fprintf(stderr, "Invalid command %s (%s)\n", line, why.text);
        return CMD_EXIT_OK;
    }
    watch_add(session, &spec);
    *out_added = true;
    return CMD_EXIT_OK;
}

static int read_line(struct cmd_run *run, struct watch_session *session, struct watch_words *words,
    const char *line, bool *out_added)
{
    struct lines_words typed;
    struct cmd_run sub = {.path = {&cmd_watch}, .depth = 1, .arena = run->arena, .words = &typed};
    struct why why;

    if (err_is(lines_split(run->arena, line, &typed, &why))) {
        return cmd_fail(CMD_EXIT_INVALID_INPUT, "%s", why.text);
    }
    if (typed.count == 0) {
        fprintf(stderr, "Invalid command: %s (watch and progress supported)\n", line);
    } else if (slice_eq(typed.bytes[0], SLICE("progress"))) {
        watch_progress(session);
        *out_added = true;
    } else if (!slice_eq(typed.bytes[0], SLICE("watch"))) {
        fprintf(stderr, "Invalid command %s (only support watch)\n", line);
    } else if (typed.count < 2 && !*words->env_key) {
        fprintf(stderr, "Invalid command %s (command type or key is not provided)\n", line);
    } else {
        words->typed = typed.texts + 1;
        words->typed_count = typed.count - 1;
        return add_line(&sub, session, line, words, out_added);
    }
    return CMD_EXIT_OK;
}

static void *receive(void *session)
{
    int code = watch_session_run(session, true);

    if (code != CMD_EXIT_OK) {
        fflush(stdout);
        _exit(code);
    }
    return NULL;
}

/* Reads lines until they end, which is how it ends; the receiver is left to die with the process.
 */
static int interact(struct cmd_run *run, struct watch_session *session, struct watch_words *words)
{
    pthread_t thread;
    bool is_receiving = false;
    char *line = NULL;
    size_t size = 0;
    int code = CMD_EXIT_OK;

    while (code == CMD_EXIT_OK) {
        bool is_added = false;
        ssize_t len = getline(&line, &size, stdin);
        if (len <= 0 || line[len - 1] != '\n') {
            code = cmd_fail(CMD_EXIT_INVALID_INPUT, "error reading watch request line: EOF");
            break;
        }
        if (memchr(line, '\0', (size_t)len)) {
            code =
                cmd_fail(CMD_EXIT_INVALID_INPUT, "a NUL in a line: write \\x00 in double quotes");
            break;
        }
        line[len - 1] = '\0';
        code = read_line(run, session, words, line, &is_added);
        if (is_added && !is_receiving) {
            is_receiving = true;
            check(pthread_create(&thread, NULL, receive, session) == 0);
        }
    }
    free(line);
    fflush(stdout);
    if (is_receiving) {
        _exit(code);
    }
    return code;
}

static int watch_once(
    struct cmd_run *run, struct watch_session *session, const struct watch_spec *spec)
{
    (void)run;
    watch_add(session, spec);
    int code = watch_session_run(session, false);
    return code == CMD_EXIT_OK ? cmd_fail(CMD_EXIT_INTERRUPTED, "watch is canceled by the server")
                               : code;
}

static int watch(struct cmd_run *run)
{
    struct watch_words words = {.args = run->args,
        .args_count = run->args_count,
        .env_key = env_text("ETCDCTL_WATCH_KEY"),
        .env_range_end = env_text("ETCDCTL_WATCH_RANGE_END")};
    bool is_interactive = cmd_bool(run, "interactive");
    struct watch_args args;
    struct watch_spec spec;
    struct printer printer;
    struct client *client;
    struct why why;

    if (!*words.env_key && *words.env_range_end) {
        fprintf(stderr, "Error: ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=");
        gotext_print_quoted(stderr, slice_str(words.env_range_end));
        fprintf(stderr, "\n");
        return CMD_EXIT_BAD_ARGS;
    }
    set_typed(run, &words);
    if (!is_interactive && err_is(watch_args_parse(run->arena, &words, false, &args, &why))) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "%s", why.text);
    }
    int code = ctl_connect(run, &client, &printer);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    struct watch_session *session = watch_session_new(client, &printer);
    if (is_interactive) {
        code = interact(run, session, &words);
    } else {
        code = spec_of(run, &args, &spec, &why) ? watch_once(run, session, &spec)
                                                : cmd_fail(CMD_EXIT_BAD_ARGS, "%s", why.text);
    }
    watch_session_free(session);
    client_close(client);
    return code;
}

const struct cmd cmd_watch = {
    .use = "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
    .brief = "Watches events stream on keys or prefixes",
    .options = options,
    .run = watch,
};
