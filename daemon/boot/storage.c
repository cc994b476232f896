/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/storage.h"

#include "base/log.h"
#include "boot/install.h"

#include <stdlib.h>

struct err storage_open_dialing(struct storage *storage, const struct config *config,
    const struct http_dialing *dialing, struct why *why)
{
    *storage = (struct storage){
        .config = config, .disk = disk_real(), .db_guard = -1, .dialing = *dialing};
    pthread_mutex_init(&storage->received.turn, NULL);
    pthread_mutex_init(&storage->received.mutex, NULL);
    TRY(storage_dirs(storage, why));
    return storage_log(storage, why);
}

struct err storage_open(struct storage *storage, const struct config *config, struct why *why)
{
    return storage_open_dialing(storage, config, &(struct http_dialing){0}, why);
}

void storage_close(struct storage *storage, bool is_clean)
{
    struct why why = {""};
    if (is_clean && storage->backend && err_is(backend_flush(storage->backend, &why))) {
        LOG_WARN("the store was not flushed; the log has what is missing", LOG_ERR(why.text));
    }
    apply_close(storage->apply);
    watch_hub_free(storage->hub);
    auth_tokens_free(storage->tokens);
    auth_table_free(storage->auth);
    member_table_free(storage->members);
    lease_table_free(storage->leases);
    storage_forget_reading(storage, UINT64_MAX);
    pthread_mutex_destroy(&storage->received.mutex);
    pthread_mutex_destroy(&storage->received.turn);
    mvcc_close(storage->mvcc);
    backend_close(storage->backend);
    raft_free(storage->raft);
    wal_close(storage->wal);
    storage_unguard(storage);
    disk_close(storage->lock);
    snap_file_fini(&storage->snapshot);
    arena_free(storage->founding.arena);
    free(storage->member_dir);
    free(storage->wal_dir);
    free(storage->snap_dir);
    free(storage->store_dir);
    *storage = (struct storage){0};
}
