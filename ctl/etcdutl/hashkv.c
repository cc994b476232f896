/* SPDX-License-Identifier: Apache-2.0
 * hashkv: etcd's HashKV over the key bucket of a file, with what the last compaction has left or
 * would have. */
#include "base/codec.h"
#include "base/crc32c.h"
#include "ctl/etcdutl/command.h"

struct hashing {
    int64_t rev; /* up to here; 0: the newest */
    int64_t compacted;
    int64_t current;
    struct newest *newest; /* at rev: etcd asks there, not at the compacted revision */
    bool keeps_any;
    uint32_t hash;
};

static struct err bad_row(struct why *why)
{
    return why_set(why, ERR(BAD_FORMAT), "malformed row in the key bucket");
}

static struct err see_current(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct hashing *h = arg;
    struct snapshot_key row;
    if (err_is(snapshot_key_parse(key, value, &row))) {
        return bad_row(why);
    }
    h->current = row.main;
    return OK;
}

static struct err see_newest(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct hashing *h = arg;
    struct snapshot_key row;
    if (err_is(snapshot_key_parse(key, value, &row))) {
        return bad_row(why);
    }
    if (row.main <= h->rev) {
        newest_add(h->newest, &row);
    }
    return OK;
}

/* When nothing of before the compaction is alive, etcd's set of what to keep is empty and hides
 * nothing. */
static bool is_hidden(const struct hashing *h, const struct snapshot_key *row)
{
    if (row->main > h->compacted) {
        return false;
    }
    if (row->main == h->compacted && row->is_tombstone) {
        return true;
    }
    return h->keeps_any && (row->is_tombstone || !newest_has(h->newest, row));
}

static struct err see_hash(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct hashing *h = arg;
    struct snapshot_key row;
    if (err_is(snapshot_key_parse(key, value, &row))) {
        return bad_row(why);
    }
    if (row.main <= h->rev && !is_hidden(h, &row)) {
        h->hash = crc32c(crc32c(h->hash, key), value);
    }
    return OK;
}

static struct err hash_file(struct hashing *h, struct snapshot_import *import, struct why *why)
{
    int64_t scheduled;
    TRY(snapshot_import_compacted(import, &scheduled, &h->compacted, why));
    h->compacted = scheduled > h->compacted ? scheduled : h->compacted;
    h->current = 1;
    TRY(snapshot_import_rows(import, SNAPSHOT_KEY, see_current, h, why));
    h->current = h->current < h->compacted ? h->compacted : h->current;
    if (h->rev && h->rev < h->compacted) {
        return why_set(why, ERR(COMPACTED), "mvcc: required revision has been compacted");
    }
    if (h->rev > h->current) {
        return why_set(why, ERR(FUTURE_REV), "mvcc: required revision is a future revision");
    }
    h->rev = h->rev ? h->rev : h->current;
    TRY(snapshot_import_rows(import, SNAPSHOT_KEY, see_newest, h, why));
    h->keeps_any = newest_alive(h->newest) > 0;
    h->hash = crc32c(0, slice_str(snapshot_bucket_name(SNAPSHOT_KEY)));
    return snapshot_import_rows(import, SNAPSHOT_KEY, see_hash, h, why);
}

static int print_hash(struct cmd_run *run, const struct hashing *h)
{
    static const char *const titles[] = {"hash", "hash revision", "compact revision"};
    struct arena *arena = run->arena;
    long long rev = h->rev;
    long long compacted = h->compacted;
    const char *cells[] = {
        arena_printf(arena, "%u", h->hash),
        arena_printf(arena, "%lld", rev),
        arena_printf(arena, "%lld", compacted),
    };
    struct report report = {
        .titles = titles,
        .cells = cells,
        .columns = 3,
        .json = arena_printf(arena, "{\"hash\":%u,\"hashRevision\":%lld,\"compactRevision\":%lld}",
            h->hash, rev, compacted),
        .fields = arena_printf(arena,
            "\"Hash\" : %u\n\"Hash revision\" : %lld\n\"Compact revision\" : %lld\n", h->hash, rev,
            compacted),
    };
    return report_print(run, &report);
}

static int hashkv_run(struct cmd_run *run)
{
    struct hashing h = {.rev = cmd_int(run, "rev")};
    struct snapshot_import *import = NULL;
    struct why why = {""};
    if (run->args_count != 1) {
        fprintf(stderr, "Error: accepts 1 arg(s), received %zu\n", run->args_count);
        usage_print(run, stderr);
        fprintf(stderr, "\n");
        return cmd_fail(CMD_EXIT_ERROR, "accepts 1 arg(s), received %zu", run->args_count);
    }
    int code = report_check(run);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    struct err e = file_check(run->args[0], &why);
    if (!err_is(e)) {
        e = snapshot_import_open(disk_real(), run->args[0], SNAPSHOT_HASH_SKIPPED, &import, &why);
    }
    h.newest = newest_new();
    if (!err_is(e)) {
        e = hash_file(&h, import, &why);
    }
    code = err_is(e) ? cmd_fail(CMD_EXIT_ERROR, "%s", why.text) : print_hash(run, &h);
    newest_free(h.newest);
    snapshot_import_close(import);
    return code;
}

static const struct cmd_option options[] = {
    {"rev", CMD_INT64, "0", "maximum revision to hash (default: latest revision)", 0, false},
    {0},
};

const struct cmd cmd_hashkv = {
    .use = "hashkv <filename>",
    .brief = "Prints the KV history hash of a given file",
    .options = options,
    .run = hashkv_run,
};
