/* SPDX-License-Identifier: Apache-2.0
 *
 * Making an api: for boot alone.
 */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include "api/api.h"
#include "snap/snap.h"

struct server;

struct api_options {
    struct server *server; /* borrowed */
    int txn_ops_max;
    size_t request_bytes_max;
    /* Makes a bbolt file of everything, written and ready to be read. Back thread. Gives. */
    struct err (*snapshot_open)(void *arg, struct snap_export **out, struct why *why);
    void *snapshot_arg;
};

struct api *api_new_service(const struct api_options *options);
void api_free(struct api *api);

#endif
