/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include "base/mem.h"

#include <stdio.h>

static void load(struct service *service)
{
    struct config_notes notes = {0};
    struct why why = {""};
    char *environ_none[] = {NULL};
    char program[] = "etcd";
    char name[] = "--name=m";
    char quota[64];
    char flag[] = "--data-dir";
    char *argv[] = {program, name, quota, flag, service->path, NULL};
    struct config_source source = {5, argv, environ_none, "/nonexistent", 0};
    snprintf(quota, sizeof(quota), "--quota-backend-bytes=%d", SERVICE_QUOTA_BYTES);
    struct err err = config_load(&source, &service->config, &notes, &why);
    config_notes_fini(&notes);
    assert_false(err_is(err));
}

int service_setup(void **state)
{
    struct service *service = mem_new(sizeof(*service));
    struct why why = {""};
    folder_make(service->path);
    load(service);
    struct storage *s = &service->storage;
    assert_false(err_is(storage_open(s, &service->config, &why)));
    s->server = server_start(&(struct server_options){.disk = s->disk,
        .raft = s->raft,
        .wal = s->wal,
        .backend = s->backend,
        .mvcc = s->mvcc,
        .leases = s->leases,
        .members = s->members,
        .hub = s->hub,
        .apply = s->apply,
        .snapshot_count = 100000,
        .wals_max = 5,
        .tick_ms = 20,
        .election_ticks = 10,
        .max_request_bytes = 1 << 20,
        .request_ms = 60000,
        .name = "m"});
    assert_true(server_wait_ready(s->server, 60000));
    service->api = api_new_service(&(struct api_options){.server = s->server,
        .is_cert_required = true,
        .txn_ops_max = 128,
        .request_bytes_max = 1 << 20});
    *state = service;
    return 0;
}

int service_teardown(void **state)
{
    struct service *service = *state;
    api_stop(service->api); /* as boot does */
    server_stop(service->storage.server);
    api_free(service->api);
    server_free(service->storage.server);
    storage_close(&service->storage, false);
    config_fini(&service->config);
    folder_remove(service->path);
    free(service);
    return 0;
}
