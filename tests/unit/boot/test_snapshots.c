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
    assert_false(err_is(storage_snapshot_open(storage, &export, &why)));
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

/* What is still to be dropped is in the file: it must not say that it was. */
static void test_snapshot_during_a_compaction_says_so(void **state)
{
    struct place *place = *state;
    bool is_done = false;
    struct storage storage = {
        .disk = disk_real(),
        .snap_dir = place->path,
        .backend = place->backend,
        .mvcc = place->mvcc,
        .members = member_table_new(1, 2),
    };
    struct apply_options options = {.backend = place->backend,
        .mvcc = place->mvcc,
        .leases = lease_table_new(1),
        .members = storage.members};
    assert_false(err_is(apply_open(&options, &storage.apply, NULL)));
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
    apply_close(storage.apply);
    lease_table_free(options.leases);
    member_table_free(storage.members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_snapshot_during_a_compaction_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
