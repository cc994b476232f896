/* SPDX-License-Identifier: Apache-2.0
 *
 * The watches of one command on one stream: registered, taken up again where they stood when the
 * connection is lost, printed. One thread receives; watch_add and watch_progress may come from
 * another.
 */
#ifndef ETCDCTL_WATCH_H
#define ETCDCTL_WATCH_H

#include "etcdctl.h"

struct watch_session;

struct watch_spec {
    struct slice key;
    struct slice range_end; /* with prefix: not looked at */
    bool has_range_end;
    bool is_prefix;
    bool has_prev_kv;
    bool wants_progress;
    int64_t revision;
    char *const *exec; /* NULL-terminated; NULL for none. Borrowed */
};

struct watch_session *watch_session_new(struct client *client, const struct printer *printer);
void watch_session_free(struct watch_session *session);
void watch_add(struct watch_session *session, const struct watch_spec *spec);
/* Asks the server for a progress notification. Errors: what the stream says. */
void watch_progress(struct watch_session *session);
/* Receives until no watch is left; or waits for more when none is, and comes back only for the
 * latter: gives 0, or 1 when a command that was run for an event failed. */
int watch_session_run(struct watch_session *session, bool waits);
/* Why a watch was cancelled, as clientv3's WatchResponse.Err() says it. In the arena. */
const char *watch_cancel_text(const Etcdserverpb__WatchResponse *response, struct arena *arena);

#endif
