/* SPDX-License-Identifier: Apache-2.0 */
#include "api/worker.h"

#include "base/mailbox.h"
#include "base/mem.h"

#include <pthread.h>

enum { JOBS_MAX = 1024 };

struct worker {
    struct mailbox box;
    pthread_mutex_t mutex;
    pthread_t thread;
    bool is_started; /* under mutex */
};

struct worker *worker_new(void)
{
    struct worker *worker = mem_new(sizeof(*worker));
    mailbox_init(&worker->box, JOBS_MAX);
    pthread_mutex_init(&worker->mutex, NULL);
    return worker;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct list jobs;
    struct list *node;
    list_init(&jobs);
    for (;;) {
        if (mailbox_take(&worker->box, &jobs, -1) == 0 && mailbox_is_closed(&worker->box)) {
            return NULL;
        }
        while ((node = list_pop(&jobs))) {
            struct server_job *job = LIST_ITEM(node, struct server_job, node);
            job->run(job);
        }
    }
}

void worker_stop(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    mailbox_close(&worker->box); /* no thread is started any more */
    bool is_started = worker->is_started;
    worker->is_started = false;
    pthread_mutex_unlock(&worker->mutex);
    if (is_started) {
        pthread_join(worker->thread, NULL);
    }
}

void worker_free(struct worker *worker)
{
    if (!worker) {
        return;
    }
    worker_stop(worker);
    mailbox_fini(&worker->box);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

static bool start(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    if (!worker->is_started && !mailbox_is_closed(&worker->box) &&
        pthread_create(&worker->thread, NULL, work, worker) == 0) {
        pthread_setname_np(worker->thread, "passwords");
        worker->is_started = true;
    }
    bool is_started = worker->is_started;
    pthread_mutex_unlock(&worker->mutex);
    return is_started;
}

bool worker_push(struct worker *worker, struct server_job *job)
{
    return start(worker) && mailbox_push(&worker->box, &job->node);
}
