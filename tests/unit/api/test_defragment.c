/* SPDX-License-Identifier: Apache-2.0
 * What else a real member does while its files are rewritten, which RocksDB begins here and does
 * not go on with. */
#include "service.h"

#include <rocksdb/c.h>
#include <stdatomic.h>
#include <unistd.h>

enum { WAIT_MS = 30000 };

static atomic_bool is_held;
static atomic_int begun;

void __real_rocksdb_compact_range_cf_opt(rocksdb_t *db, rocksdb_column_family_handle_t *family,
    rocksdb_compactoptions_t *options, const char *start, size_t start_len, const char *limit,
    size_t limit_len);
void __wrap_rocksdb_compact_range_cf_opt(rocksdb_t *db, rocksdb_column_family_handle_t *family,
    rocksdb_compactoptions_t *options, const char *start, size_t start_len, const char *limit,
    size_t limit_len);

void __wrap_rocksdb_compact_range_cf_opt(rocksdb_t *db, rocksdb_column_family_handle_t *family,
    rocksdb_compactoptions_t *options, const char *start, size_t start_len, const char *limit,
    size_t limit_len)
{
    atomic_fetch_add(&begun, 1);
    while (atomic_load(&is_held)) {
        usleep(1000);
    }
    __real_rocksdb_compact_range_cf_opt(db, family, options, start, start_len, limit, limit_len);
}

struct ask {
    struct api_call call;
    atomic_bool is_done;
};

static void on_done(struct api_call *call)
{
    atomic_store(&CONTAINER_OF(call, struct ask, call)->is_done, true);
}

static void begin(struct service *service, struct ask *ask, const char *path, struct slice request)
{
    *ask = (struct ask){.call = {.method = api_method_find(slice_str(path)),
                            .arena = arena_new(0),
                            .request = request,
                            .deadline_ns = INT64_MAX,
                            .done = on_done}};
    api_call_start(service->api, &ask->call);
}

static bool comes(struct ask *ask)
{
    for (int i = 0; i < WAIT_MS && !atomic_load(&ask->is_done); i++) {
        usleep(1000);
    }
    return atomic_load(&ask->is_done);
}

static void ends_well(struct ask *ask)
{
    struct payload payload;
    struct api_status status;
    assert_true(comes(ask));
    api_call_finish(&ask->call, &payload, &status);
    assert_int_equal(status.code, GRPC_CODE_OK);
    payload_fini(&payload);
    arena_free(ask->call.arena);
}

static void test_writes_do_not_wait_for_a_defragmentation(void **state)
{
    static const char put[] = "/etcdserverpb.KV/Put";
    struct service *service = *state;
    struct ask defragment;
    struct ask asks[2];
    begin(service, &asks[0], put, SLICE("\x0a\x01k\x12\x01v"));
    ends_well(&asks[0]);
    atomic_store(&is_held, true);
    begin(service, &defragment, "/etcdserverpb.Maintenance/Defragment", (struct slice){0});
    for (int i = 0; i < WAIT_MS && !atomic_load(&begun); i++) {
        usleep(1000);
    }
    bool has_begun = atomic_load(&begun) > 0;
    begin(service, &asks[0], put, SLICE("\x0a\x01k\x12\x01w"));
    begin(service, &asks[1], "/etcdserverpb.KV/Range", SLICE("\x0a\x01k"));
    bool has_come = comes(&asks[0]) && comes(&asks[1]);
    bool is_under_way = !atomic_load(&defragment.is_done);
    atomic_store(&is_held, false);
    ends_well(&asks[0]);
    ends_well(&asks[1]);
    ends_well(&defragment);
    assert_true(has_begun && has_come && is_under_way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_writes_do_not_wait_for_a_defragmentation, service_setup, service_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
