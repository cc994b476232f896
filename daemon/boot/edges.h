/* SPDX-License-Identifier: Apache-2.0
 *
 * The doors to the outside: the listeners and what stands behind them. Main thread.
 */
#ifndef BOOT_EDGES_H
#define BOOT_EDGES_H

#include "api/api.h"
#include "config/config.h"

struct edges;

/* Checks every certificate and binds every listener, before anything is written: nobody is let in
 * yet. Errors: BAD_TLS, BAD_CONFIG, IO. */
MUST struct err edges_bind(const struct config *config, struct edges **out, struct why *why);
/* Makes what stands behind the listeners. Errors: BAD_TLS, INTERNAL. */
MUST struct err edges_open(struct edges *edges, struct api *api, struct why *why);
/* Lets in who asks for metrics and health: without a leader too, when they matter most. */
void edges_start_metrics(struct edges *edges);
/* Lets clients in. */
void edges_start(struct edges *edges);
/* No new connections and calls; what is under way may finish until drain_ms have passed. What does
 * not is still answered when it ends, until edges_stop. Again: only waits. After edges_open. */
void edges_drain(struct edges *edges, int64_t drain_ms);
/* Cancels what is left and waits until the api has ended it. After whatever was opened. */
void edges_stop(struct edges *edges);
/* After the server has ended every call. NULL is fine. */
void edges_free(struct edges *edges);
/* Looks at the certificate files now. */
void edges_reload(struct edges *edges);

#endif
