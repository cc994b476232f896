/* SPDX-License-Identifier: Apache-2.0
 * snapshot status: CRC-32C over the buckets' names, keys and values in order. */
#include "base/crc32c.h"
#include "base/json.h"
#include "bolt/bolt.h"
#include "ctl/etcdutl/command.h"

struct status {
    uint32_t hash;
    int64_t revision;
    size_t keys;
    uint64_t bytes;
    const char *version;
};

static struct err see_key(
    struct newest *newest, const struct bolt_item *item, struct status *status, struct why *why)
{
    struct snapshot_key row;
    if (err_is(snapshot_key_parse(item->key, item->value, &row))) {
        return why_set(why, ERR(BAD_FORMAT), "cannot parse a revision of the key bucket");
    }
    status->revision = row.main;
    newest_add(newest, &row);
    return OK;
}

static struct err hash_bucket(struct bolt *bolt, struct slice name, struct newest *newest,
    struct status *status, struct why *why)
{
    struct bolt_cursor *cursor = NULL;
    struct bolt_item item = {0};
    bool is_keys = slice_eq(name, slice_str(snapshot_bucket_name(SNAPSHOT_KEY)));
    status->hash = crc32c(status->hash, name);
    struct err e = bolt_bucket(bolt, name, &cursor, why);
    while (!err_is(e) && cursor) {
        e = bolt_next(cursor, &item, why);
        if (err_is(e) || item.is_end) {
            break;
        }
        status->hash = crc32c(crc32c(status->hash, item.key), item.value);
        if (is_keys) {
            e = see_key(newest, &item, status, why);
        }
    }
    bolt_cursor_close(cursor);
    return e;
}

static struct err hash_all(struct bolt *bolt, struct status *status, struct why *why)
{
    struct bolt_cursor *root;
    struct bolt_item item = {0};
    TRY(bolt_root(bolt, &root, why));
    struct newest *newest = newest_new();
    struct err e = bolt_next(root, &item, why);
    while (!err_is(e) && !item.is_end) {
        e = item.is_bucket ? hash_bucket(bolt, item.key, newest, status, why)
                           : why_set(why, ERR(BAD_FORMAT), "nil bucket: \"%.*s\"",
                                 (int)item.key.len, (const char *)item.key.data);
        if (!err_is(e)) {
            e = bolt_next(root, &item, why);
        }
    }
    status->keys = newest_alive(newest);
    newest_free(newest);
    bolt_cursor_close(root);
    return e;
}

/* The storage version since 3.6; "" before. */
static struct err read_version(
    struct bolt *bolt, struct arena *arena, struct status *status, struct why *why)
{
    struct bolt_cursor *cursor;
    struct bolt_item item = {0};
    status->version = "";
    TRY(bolt_bucket(bolt, slice_str(snapshot_bucket_name(SNAPSHOT_META)), &cursor, why));
    struct err e = OK;
    while (!err_is(e) && cursor && !item.is_end) {
        e = bolt_next(cursor, &item, why);
        if (!err_is(e) && slice_eq(item.key, SLICE("storageVersion"))) {
            status->version = (const char *)arena_dup(arena, item.value).data;
        }
    }
    bolt_cursor_close(cursor);
    return e;
}

static struct err read_status(
    const char *path, struct arena *arena, struct status *out, struct why *why)
{
    struct bolt *bolt;
    struct status status = {0};
    struct why inner = {""};
    struct err e = bolt_open(disk_real(), path, &bolt, &inner);
    if (IS(e, BAD_FORMAT)) {
        return why_set(why, e, "invalid database");
    }
    if (err_is(e)) {
        return why_set(why, e, "%s", inner.text);
    }
    e = bolt_check(bolt, &inner);
    if (err_is(e)) {
        e = why_set(
            why, e, "snapshot file integrity check failed. 1 errors found.\n%.400s", inner.text);
    }
    if (!err_is(e)) {
        struct bolt_info info = bolt_info(bolt);
        status.bytes = info.pages * info.page_size;
        e = read_version(bolt, arena, &status, why);
    }
    if (!err_is(e)) {
        e = hash_all(bolt, &status, why);
    }
    bolt_close(bolt);
    if (!err_is(e)) {
        *out = status;
    }
    return e;
}

static const char *json_of(struct arena *arena, const struct status *s)
{
    return arena_printf(arena,
        "{\"hash\":%u,\"revision\":%lld,\"totalKey\":%zu,\"totalSize\":%llu,\"version\":\"%s\"}",
        s->hash, (long long)s->revision, s->keys, (unsigned long long)s->bytes, s->version);
}

static int print_status(struct cmd_run *run, const struct status *s)
{
    static const char *const titles[] = {"hash", "revision", "total keys", "total size", "version"};
    char size[GOTEXT_SIZE];
    struct arena *arena = run->arena;
    const char *cells[] = {
        arena_printf(arena, "%x", s->hash),
        arena_printf(arena, "%lld", (long long)s->revision),
        arena_printf(arena, "%zu", s->keys),
        gotext_bytes(s->bytes, size),
        s->version,
    };
    struct report report = {
        .titles = titles,
        .cells = cells,
        .columns = 5,
        .json = json_of(arena, s),
        .fields = arena_printf(arena,
            "\"Hash\" : %u\n\"Revision\" : %lld\n\"Keys\" : %zu\n\"Size\" : %llu\n\"Version\" : "
            "%s\n",
            s->hash, (long long)s->revision, s->keys, (unsigned long long)s->bytes, s->version),
    };
    return report_print(run, &report);
}

static int status_run(struct cmd_run *run)
{
    struct status status = {0};
    struct why why = {""};
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "snapshot status requires exactly one argument");
    }
    struct err e = file_check(run->args[0], &why);
    if (err_is(e)) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    int code = report_check(run);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    e = read_status(run->args[0], run->arena, &status, &why);
    return err_is(e) ? cmd_fail(CMD_EXIT_ERROR, "%s", why.text) : print_status(run, &status);
}

const struct cmd cmd_snapshot_status = {
    .use = "status <filename>",
    .brief = "Gets backend snapshot status of a given file",
    .text =
        "When --write-out is set to simple, this command prints out comma-separated status "
        "lists for each endpoint.\nThe items in the lists are hash, revision, total keys, total "
        "size.\n",
    .run = status_run,
};

static const struct cmd *const children[] = {&cmd_snapshot_restore, &cmd_snapshot_status, NULL};

const struct cmd cmd_snapshot = {
    .use = "snapshot <subcommand>",
    .brief = "Manages etcd node snapshots",
    .children = children,
};
