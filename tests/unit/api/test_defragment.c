/* SPDX-License-Identifier: Apache-2.0
 * What else a real member does while its files are rewritten, which RocksDB begins here and does
 * not go on with. */
#include "service.h"

#include <rocksdb/c.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/statvfs.h>
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

static atomic_ullong free_bytes = UINT64_MAX;

/* Instead of libc's. */
int statvfs(const char *path, struct statvfs *out)
{
    (void)path;
    *out = (struct statvfs){.f_frsize = 1, .f_bavail = atomic_load(&free_bytes)};
    return 0;
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

/* text: what the answer says somewhere. */
static void ends(struct ask *ask, enum grpc_code code, const char *text)
{
    struct payload payload;
    struct api_status status;
    assert_true(comes(ask));
    api_call_finish(&ask->call, &payload, &status);
    assert_int_equal(status.code, code);
    assert_non_null(strstr(status.text, text));
    payload_fini(&payload);
    arena_free(ask->call.arena);
}

static void ends_well(struct ask *ask)
{
    ends(ask, GRPC_CODE_OK, "");
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

/* Who stops the member does not wait as long as the store is big. */
static void test_a_stop_ends_a_defragmentation(void **state)
{
    static const char defragment[] = "/etcdserverpb.Maintenance/Defragment";
    struct service *service = *state;
    struct why why = {""};
    struct ask put;
    struct ask asks[2];
    int before = atomic_load(&begun);
    begin(service, &put, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k\x12\x01v"));
    ends_well(&put);
    atomic_store(&is_held, true);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        begin(service, &asks[i], defragment, (struct slice){0});
    }
    for (int i = 0; i < WAIT_MS && atomic_load(&begun) == before; i++) {
        usleep(1000);
    }
    api_end_jobs(service->api);
    atomic_store(&is_held, false);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        ends(&asks[i], GRPC_CODE_UNAVAILABLE, "etcdserver: server stopped");
    }
    assert_int_equal(atomic_load(&begun), before + 1);
    assert_false(err_is(backend_health(service->storage.backend, &why)));
}

/* The member would end with what RocksDB begins and cannot write. */
static void test_nothing_is_begun_without_room(void **state)
{
    static const char defragment[] = "/etcdserverpb.Maintenance/Defragment";
    struct service *service = *state;
    struct backend *backend = service->storage.backend;
    struct why why = {""};
    struct ask ask;
    int before = atomic_load(&begun);
    begin(service, &ask, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k\x12\x01v"));
    ends_well(&ask);
    atomic_store(&free_bytes, backend_live_bytes(backend)); /* and nothing for the log */
    begin(service, &ask, defragment, (struct slice){0});
    ends(&ask, GRPC_CODE_UNKNOWN, "no space left on device");
    assert_int_equal(atomic_load(&begun), before);
    assert_false(err_is(backend_health(backend, &why)));
    begin(service, &ask, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k\x12\x01w"));
    ends_well(&ask);
    atomic_store(&free_bytes, 2 * backend_live_bytes(backend));
    begin(service, &ask, defragment, (struct slice){0});
    ends_well(&ask);
    assert_true(atomic_load(&begun) > before);
    atomic_store(&free_bytes, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_writes_do_not_wait_for_a_defragmentation, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stop_ends_a_defragmentation, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_nothing_is_begun_without_room, service_setup, service_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
