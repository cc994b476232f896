/* SPDX-License-Identifier: Apache-2.0 */
#include "../mvcc/place.h"
#include "base/codec.h"
#include "base/mem.h"
#include "boot/install.h"
#include "boot/storage.h"

#include <unistd.h>

/* Nothing is applied meanwhile. */
void server_between_applies(struct server *server, void (*fn)(void *arg), void *arg)
{
    (void)server;
    fn(arg);
}

struct marks {
    int64_t scheduled;
    int64_t finished;
};

static struct err see_mark(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct marks *marks = arg;
    (void)why;
    if (slice_eq(key, SLICE("scheduledCompactRev"))) {
        marks->scheduled = (int64_t)get_be64(value.data);
    } else if (slice_eq(key, SLICE("finishedCompactRev"))) {
        marks->finished = (int64_t)get_be64(value.data);
    }
    return OK;
}

static void file_write(struct snapshot_export *export, const char *path)
{
    static uint8_t chunk[64 * 1024];
    size_t got = 1;
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    while (got) {
        assert_false(err_is(snapshot_export_read(export, chunk, sizeof(chunk), &got, NULL)));
        assert_int_equal(fwrite(chunk, 1, got, file), got);
    }
    assert_int_equal(fclose(file), 0);
}

static struct marks marks_of(struct storage *storage)
{
    struct marks marks = {-1, -1};
    struct snapshot_export *export;
    struct snapshot_import *import;
    struct why why = {""};
    char *path = disk_path(storage->snap_dir, "snapshot.db");
    struct snapshot_order order = {.best = SNAPSHOT_DATABASE};
    assert_false(err_is(storage_snapshot_open(storage, &order, &export, &why)));
    file_write(export, path);
    snapshot_export_close(export);
    assert_false(
        err_is(snapshot_import_open(disk_real(), path, SNAPSHOT_HASH_SKIPPED, &import, &why)));
    assert_false(err_is(snapshot_import_rows(import, SNAPSHOT_META, see_mark, &marks, &why)));
    snapshot_import_close(import);
    assert_int_equal(unlink(path), 0);
    free(path);
    return marks;
}

static void open_storage(struct place *place, struct storage *storage)
{
    *storage = (struct storage){
        .disk = disk_real(),
        .snap_dir = place->path,
        .backend = place->backend,
        .mvcc = place->mvcc,
        .leases = lease_table_new(1),
        .members = member_table_new(1, 2),
    };
    struct apply_options options = {.backend = storage->backend,
        .mvcc = storage->mvcc,
        .leases = storage->leases,
        .members = storage->members};
    assert_false(err_is(apply_open(&options, &storage->apply, NULL)));
}

static void close_storage(struct storage *storage)
{
    apply_close(storage->apply);
    lease_table_free(storage->leases);
    member_table_free(storage->members);
}

/* What is still to be dropped is in the file: it must not say that it was. */
static void test_snapshot_during_a_compaction_says_so(void **state)
{
    struct place *place = *state;
    bool is_done = false;
    struct storage storage;
    open_storage(place, &storage);
    place_put(place, "a", "1", 0);
    revision rev = place_delete(place, "a", NULL);
    struct marks marks = marks_of(&storage);
    assert_int_equal(marks.scheduled, -1);
    assert_int_equal(marks.finished, -1);
    assert_false(err_is(mvcc_compact_begin(place->mvcc, rev, place->batch)));
    place_write(place);
    marks = marks_of(&storage);
    assert_int_equal(marks.scheduled, rev);
    assert_int_equal(marks.finished, -1);
    while (!is_done) {
        assert_false(err_is(mvcc_compact_step(place->mvcc, 1, &is_done, NULL)));
    }
    marks = marks_of(&storage);
    assert_int_equal(marks.scheduled, rev);
    assert_int_equal(marks.finished, rev);
    close_storage(&storage);
}

struct wait {
    size_t asked;
    size_t goes_on_for;
};

static bool is_over(void *arg)
{
    struct wait *wait = arg;
    return ++wait->asked > wait->goes_on_for;
}

/* The walk over a large store takes long. */
static void test_a_database_that_nobody_waits_for_is_not_made(void **state)
{
    struct place *place = *state;
    struct storage storage;
    struct wait wait = {.goes_on_for = 2};
    struct snapshot_order order = {SNAPSHOT_DATABASE, is_over, &wait};
    struct raft_message message = {.type = RAFT_MSG_SNAP};
    struct snapshot_export *export = NULL;
    struct why why = {""};
    open_storage(place, &storage);
    for (int i = 0; i < 5; i++) {
        place_put(place, "a", "1", 0);
    }
    assert_true(IS(storage_snapshot_message(&storage, &message, &order, &export, &why), STOPPED));
    assert_int_equal(wait.asked, 3);
    assert_null(export);
    assert_null(message.snapshot);
    wait = (struct wait){.goes_on_for = SIZE_MAX};
    assert_false(err_is(storage_snapshot_message(&storage, &message, &order, &export, &why)));
    assert_int_equal(wait.asked, 5);
    assert_non_null(message.snapshot);
    snapshot_export_close(export);
    raft_message_fini(&message);
    close_storage(&storage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_snapshot_during_a_compaction_says_so),
        PLACE_TEST(test_a_database_that_nobody_waits_for_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
