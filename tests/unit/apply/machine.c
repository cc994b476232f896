/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include "base/mem.h"
#include "base/pb.h"

#include <stdio.h>
#include <unistd.h>

static void open_all(struct machine *machine)
{
    struct why why = {""};
    struct apply_options *o = &machine->options;
    struct backend_options backend = {.path = machine->path};
    assert_false(err_is(backend_open(&backend, &o->backend, &why)));
    struct mvcc_options mvcc = {.backend = o->backend, .value_cache_bytes = 65536};
    assert_false(err_is(mvcc_open(&mvcc, &o->mvcc, &why)));
    o->leases = lease_table_new(1);
    assert_false(err_is(lease_load(o->leases, o->backend, &why)));
    o->members = member_table_new(1, 2);
    assert_false(err_is(member_load(o->members, o->backend, &why)));
    o->hub = watch_hub_new(o->mvcc, 0, 1);
    o->auth = auth_table_new();
    assert_false(err_is(auth_load(o->auth, o->backend, &why)));
    assert_false(err_is(auth_tokens_new("simple", 0, &o->tokens, &why)));
    assert_false(err_is(apply_open(o, &machine->apply, &why)));
}

static void close_all(struct machine *machine)
{
    apply_close(machine->apply);
    watch_hub_free(machine->options.hub);
    auth_tokens_free(machine->options.tokens);
    auth_table_free(machine->options.auth);
    member_table_free(machine->options.members);
    lease_table_free(machine->options.leases);
    mvcc_close(machine->options.mvcc);
    backend_close(machine->options.backend);
}

void machine_init(struct machine *machine, int64_t quota_bytes)
{
    *machine = (struct machine){.options.quota_bytes = quota_bytes, .arena = arena_new(0)};
    folder_make(machine->path);
    open_all(machine);
}

void machine_fini(struct machine *machine)
{
    close_all(machine);
    arena_free(machine->arena);
    folder_remove(machine->path);
}

void machine_crash(struct machine *machine)
{
    close_all(machine);
    open_all(machine);
}

void machine_restart(struct machine *machine)
{
    assert_false(err_is(backend_flush(machine->options.backend, NULL)));
    machine_crash(machine);
}

static struct apply_result *find(void *arg, uint64_t request_id)
{
    struct machine *machine = arg;
    return request_id == machine->waits_for ? &machine->result : NULL;
}

static void done(void *arg, struct apply_result *result)
{
    struct machine *machine = arg;
    assert_ptr_equal(result, &machine->result);
    machine->is_done = true;
}

static void conf(void *arg, uint64_t index, const struct raft_conf_change *change, bool is_void)
{
    (void)index;
    (void)change;
    ((struct machine *)arg)->confs += is_void ? 100 : 1;
}

struct err machine_entry(struct machine *machine, const struct raft_entry *entry)
{
    struct apply_sink sink = {find, done, conf, machine, NULL};
    struct why why = {""};
    arena_free(machine->arena);
    machine->arena = arena_new(0);
    machine->result = (struct apply_result){.arena = machine->arena};
    machine->is_done = false;
    TRY(apply_entry(machine->apply, entry, &sink, &why));
    return apply_commit(machine->apply, &why);
}

struct err machine_apply(struct machine *machine, Etcdserverpb__InternalRaftRequest *request)
{
    Etcdserverpb__RequestHeader header = ETCDSERVERPB__REQUEST_HEADER__INIT;
    struct arena *arena = arena_new(0);
    header.id = ++machine->index;
    if (machine->username) {
        header.username = (char *)(uintptr_t)machine->username;
        header.auth_revision = auth_revision(machine->options.auth);
    }
    request->header = &header;
    machine->waits_for = header.id;
    struct raft_entry entry = {
        .term = 1, .index = machine->index, .data = blob_new(pb_pack_arena(request, arena))};
    arena_free(arena);
    struct err err = machine_entry(machine, &entry);
    blob_unref(entry.data);
    assert_false(err_is(err));
    assert_true(machine->is_done);
    return machine->result.err;
}

ProtobufCBinaryData text_bytes(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

struct err machine_put(struct machine *machine, const char *key, const char *value, int64_t lease)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = text_bytes(key);
    put.value = text_bytes(value);
    put.lease = lease;
    request.put = &put;
    return machine_apply(machine, &request);
}

const char *machine_list(struct machine *machine)
{
    static char text[4096];
    size_t len = 0;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *response;
    struct arena *arena = arena_new(0);
    request.key = request.range_end = (ProtobufCBinaryData){1, (uint8_t *)""};
    assert_false(err_is(apply_range(machine->options.mvcc, &request, arena, &response)));
    text[0] = 0;
    for (size_t i = 0; i < response->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = response->kvs[i];
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s=%.*s ", (int)kv->key.len,
            (const char *)kv->key.data, (int)kv->value.len,
            kv->value.len ? (const char *)kv->value.data : "");
    }
    arena_free(arena);
    return text;
}

uint32_t machine_hash(struct machine *machine)
{
    struct mvcc_hash hash;
    assert_false(err_is(mvcc_hash_kv(machine->options.mvcc, 0, &hash, NULL)));
    return hash.hash;
}

int machine_setup(void **state)
{
    struct machine *machine = mem_new(sizeof(*machine));
    machine_init(machine, -1);
    *state = machine;
    return 0;
}

int machine_teardown(void **state)
{
    machine_fini(*state);
    free(*state);
    return 0;
}
