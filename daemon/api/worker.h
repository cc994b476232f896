/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread for what costs much CPU and nothing waits for: passwords. Started by the first job.
 */
#ifndef API_WORKER_H
#define API_WORKER_H

#include "server/server.h"

struct worker;

struct worker *worker_new(void);
/* Runs what waits, ends the thread; a push after that is false. */
void worker_stop(struct worker *worker);
/* Stops it first. NULL is fine. */
void worker_free(struct worker *worker);
/* Any thread. False when too much waits: the job stays the caller's. */
bool worker_push(struct worker *worker, struct server_job *job);

#endif
