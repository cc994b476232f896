/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads for what costs much CPU and must not hold up the others: passwords, large answers.
 * Started by the jobs that find none free.
 */
#ifndef API_WORKER_H
#define API_WORKER_H

#include "server/server.h"

enum { WORKER_THREADS_MAX = 8 };

struct worker;

struct worker_options {
    const char *name;     /* of the threads; static */
    unsigned threads_max; /* at most WORKER_THREADS_MAX */
    int nice;             /* how far behind the other threads they stand for the CPU */
};

struct worker *worker_new(const struct worker_options *options);
/* Runs what waits, ends the threads; a push after that is false. */
void worker_stop(struct worker *worker);
/* Stops it first. NULL is fine. */
void worker_free(struct worker *worker);
/* Any thread. False when too much waits: the job stays the caller's. */
bool worker_push(struct worker *worker, struct server_job *job);

#endif
