/* SPDX-License-Identifier: Apache-2.0
 *
 * Making an api: for boot alone.
 */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include "api/api.h"

struct server;

struct api_options {
    struct server *server; /* borrowed */
    int txn_ops_max;
    size_t request_bytes_max;
    /* Writes a snapshot of everything as a bbolt file: fills an open, unlinked file's fd (the
     * caller's to close), its size in bytes. Back thread. */
    struct err (*snapshot_file)(void *arg, int *out_fd, uint64_t *out_bytes, struct why *why);
    void *snapshot_arg;
};

struct api *api_new_service(const struct api_options *options);
void api_free(struct api *api);

#endif
