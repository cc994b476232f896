/* SPDX-License-Identifier: Apache-2.0
 * Maintenance.Snapshot against a back thread that takes its time: the test is that thread. */
#include "api/identity.h"
#include "api/methods.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { JOBS_MAX = 16 };

static struct server_job *jobs[JOBS_MAX];
static size_t jobs_count;
static int made;
static int closed;

bool server_run(struct server *server, struct server_job *job)
{
    (void)server;
    assert_true(jobs_count < JOBS_MAX);
    jobs[jobs_count++] = job;
    return true;
}

static struct api_stream *leaving; /* goes while its file is made; NULL: none does */

static void stream_end(struct api_stream *stream)
{
    api_maintenance_snapshot.close(stream);
    free(stream);
}

static struct err make_file(
    void *arg, const struct snapshot_order *order, struct snapshot_export **out, struct why *why)
{
    (void)arg;
    (void)why;
    assert_false(order->is_over(order->arg));
    if (leaving) {
        stream_end(leaving);
        leaving = NULL;
    }
    if (order->is_over(order->arg)) {
        return ERR(STOPPED);
    }
    made++;
    *out = mem_new(1);
    return OK;
}

void snapshot_export_close(struct snapshot_export *export)
{
    closed += export != NULL;
    free(export);
}

uint64_t snapshot_export_bytes(const struct snapshot_export *export)
{
    assert_non_null(export);
    return 0;
}

struct err snapshot_export_read(
    struct snapshot_export *export, void *out, size_t size, size_t *out_size, struct why *why)
{
    (void)export;
    (void)out;
    (void)size;
    (void)why;
    *out_size = 0;
    return OK;
}

void snapshot_export_sha256(struct snapshot_export *export, uint8_t out[SNAPSHOT_SHA_BYTES])
{
    (void)export;
    memset(out, 0, SNAPSHOT_SHA_BYTES);
}

void api_add_header(struct api *api, struct buf *out, revision rev)
{
    (void)api;
    (void)out;
    (void)rev;
}

struct api_status api_status_of(struct err err)
{
    return (struct api_status){err_grpc(err), err_text(err)};
}

struct err api_admit(
    struct api *api, const struct api_caller *caller, struct arena *arena, enum api_right right)
{
    (void)api;
    (void)caller;
    (void)arena;
    assert_int_equal(right, API_RIGHT_ADMIN);
    return OK;
}

void api_observe_since(struct metric *histogram, int64_t began_ns)
{
    (void)histogram;
    (void)began_ns;
}

static atomic_bool is_installing;

bool server_is_installing(const struct server *server)
{
    (void)server;
    return atomic_load(&is_installing);
}

const struct server_options *server_options_get(const struct server *server)
{
    static const struct server_options options;
    (void)server;
    return &options;
}

const char *member_storage_row(struct member_table *table)
{
    (void)table;
    return NULL;
}

revision mvcc_revision(const struct mvcc *mvcc)
{
    (void)mvcc;
    return 1;
}

static void wake(struct api_stream *stream)
{
    (void)stream;
}

static struct api_stream *stream_new(struct api *api)
{
    struct api_stream *stream = mem_new(sizeof(*stream));
    stream->api = api;
    stream->wake = wake;
    api_maintenance_snapshot.open(api, stream);
    api_maintenance_snapshot.message(stream, (struct slice){0});
    return stream;
}

static void run_jobs(void)
{
    for (size_t i = 0; i < jobs_count; i++) {
        jobs[i]->run(jobs[i]);
    }
    jobs_count = 0;
}

static int setup(void **state)
{
    struct api *api = mem_new(sizeof(*api));
    api->options.snapshot_open = make_file;
    made = 0;
    closed = 0;
    *state = api;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void test_client_that_left_before_its_turn_costs_no_file(void **state)
{
    stream_end(stream_new(*state));
    run_jobs();
    assert_int_equal(made, 0);
}

/* It may take minutes, and all other work of that thread waits. */
static void test_client_that_leaves_meanwhile_ends_the_making_of_its_file(void **state)
{
    leaving = stream_new(*state);
    run_jobs();
    assert_null(leaving);
    assert_int_equal(made, 0);
    assert_int_equal(closed, 0);
}

/* The apply thread waits for it. */
static void test_a_store_that_is_to_be_replaced_ends_the_making_of_a_file(void **state)
{
    struct payload payload;
    struct api_status status;
    struct api_stream *stream = stream_new(*state);
    atomic_store(&is_installing, true);
    run_jobs();
    atomic_store(&is_installing, false);
    assert_int_equal(made, 0);
    payload_init(&payload);
    assert_int_equal(api_maintenance_snapshot.next(stream, &payload, &status), API_NEXT_END);
    assert_int_equal(status.code, GRPC_CODE_UNAVAILABLE);
    stream_end(stream);
}

static void test_files_on_the_disk_are_bounded(void **state)
{
    struct api_stream *streams[8];
    struct payload payload;
    struct api_status status = {0};
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        streams[i] = stream_new(*state);
    }
    run_jobs();
    assert_int_equal(made, 4);
    payload_init(&payload);
    assert_int_equal(api_maintenance_snapshot.next(streams[7], &payload, &status), API_NEXT_END);
    assert_int_equal(status.code, GRPC_CODE_RESOURCE_EXHAUSTED);
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        stream_end(streams[i]);
    }
    assert_int_equal(closed, 4);
    stream_end(stream_new(*state)); /* room again */
    assert_int_equal(jobs_count, 1);
    run_jobs();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_client_that_left_before_its_turn_costs_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_that_leaves_meanwhile_ends_the_making_of_its_file, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_store_that_is_to_be_replaced_ends_the_making_of_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_on_the_disk_are_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
