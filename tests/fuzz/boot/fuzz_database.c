/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as another etcd's database, taken into a store that holds none, as at boot: refused, or
 * a store that can be hashed. The meta pages' checksums and the SHA-256 behind the pages are put
 * right first, so that mutations get past them. */
#include "apply/apply.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "bolt/format.h"
#include "boot/take.h"
#include "disk/faulty.h"
#include "tests/shared/memory_backend.h"

#include <openssl/sha.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGE = 4096, SECTOR = 512 };

static void fix_meta(uint8_t *page)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < META - 8; i++) {
        hash = (hash ^ page[PAGE_HEAD + i]) * UINT64_C(0x100000001b3);
    }
    put_le64(page + PAGE_HEAD + META - 8, hash);
}

static void fix(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at <= PAGE && size >= at + PAGE_HEAD + META; at += PAGE) {
        fix_meta(bytes + at);
    }
    if (size % SECTOR == SNAPSHOT_SHA_BYTES) {
        SHA256(bytes, size - SNAPSHOT_SHA_BYTES, bytes + size - SNAPSHOT_SHA_BYTES);
    }
}

/* Each of the loaders says whether it can read what it finds. */
static void load(struct backend *backend)
{
    struct lease_table *leases = lease_table_new(1);
    struct auth_table *auth = auth_table_new();
    struct member_table *members = member_table_new(1, 1);
    (void)err_is(lease_load(leases, backend, NULL));
    (void)err_is(auth_load(auth, backend, NULL));
    (void)err_is(member_load(members, backend, NULL));
    member_table_free(members);
    auth_table_free(auth);
    lease_table_free(leases);
}

/* Keys that were taken can be read. */
static void use(struct backend *backend)
{
    struct mvcc_options options = {.backend = backend};
    struct mvcc_hash hash;
    struct mvcc *mvcc;
    struct err err = mvcc_open(&options, &mvcc, NULL);
    check(!err_is(err));
    err = mvcc_hash_kv(mvcc, 0, &hash, NULL);
    check(!err_is(err));
    mvcc_close(mvcc);
    load(backend);
}

static void take(struct snapshot_import *import)
{
    struct backend_options options = {.path = "/s"};
    struct backend *backend;
    struct err err = backend_open(&options, &backend, NULL);
    check(!err_is(err));
    struct taking taking = {
        .import = import, .path = "/db", .backend = backend, .index = 9, .term = 2};
    if (!err_is(take_database(&taking, NULL, NULL))) {
        use(backend);
    }
    backend_close(backend);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk *disk = disk_faulty_new(1);
    struct snapshot_import *import;
    uint8_t *copy = mem_dup(data, size);
    log_level_set(LOG_LEVEL_FATAL);
    fix(copy, size);
    struct err err = disk_write_file(disk, "/db", slice_of(copy, size), 0600, NULL);
    check(!err_is(err));
    if (!err_is(snapshot_import_open(disk, "/db", SNAPSHOT_HASH_IF_THERE, &import, NULL))) {
        take(import);
        snapshot_import_close(import);
    }
    memory_backend_forget();
    free(copy);
    disk_faulty_free(disk);
    return 0;
}
