/* SPDX-License-Identifier: Apache-2.0 */
#include "api/worker.h"

#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

enum { JOBS_MAX = 1024 };

struct worker {
    struct worker_options options;
    pthread_mutex_t mutex; /* of all that follows */
    pthread_cond_t cond;
    struct list jobs;
    size_t jobs_count;
    unsigned idle;
    bool is_closed;
    unsigned threads_count;
    pthread_t threads[WORKER_THREADS_MAX];
};

struct worker *worker_new(const struct worker_options *options)
{
    check(options->threads_max > 0 && options->threads_max <= WORKER_THREADS_MAX);
    struct worker *worker = mem_new(sizeof(*worker));
    worker->options = *options;
    list_init(&worker->jobs);
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->cond, NULL);
    return worker;
}

/* NULL: nothing more will come. */
static struct server_job *take(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    worker->idle++;
    while (list_is_empty(&worker->jobs) && !worker->is_closed) {
        pthread_cond_wait(&worker->cond, &worker->mutex);
    }
    worker->idle--;
    struct list *node = list_pop(&worker->jobs);
    worker->jobs_count -= node != NULL;
    pthread_mutex_unlock(&worker->mutex);
    return node ? LIST_ITEM(node, struct server_job, node) : NULL;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct server_job *job;
    if (worker->options.nice) {
        /* Linux keeps it by thread. Where it is refused they stand beside the others. */
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), worker->options.nice);
    }
    while ((job = take(worker))) {
        job->run(job);
    }
    return NULL;
}

void worker_stop(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    worker->is_closed = true; /* no thread is started any more */
    unsigned count = worker->threads_count;
    worker->threads_count = 0;
    pthread_cond_broadcast(&worker->cond);
    pthread_mutex_unlock(&worker->mutex);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(worker->threads[i], NULL);
    }
}

void worker_free(struct worker *worker)
{
    if (!worker) {
        return;
    }
    worker_stop(worker);
    pthread_cond_destroy(&worker->cond);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

/* Under the mutex. */
static void start(struct worker *worker)
{
    pthread_t *thread = &worker->threads[worker->threads_count];
    if (pthread_create(thread, NULL, work, worker) == 0) {
        pthread_setname_np(*thread, worker->options.name);
        worker->threads_count++;
    }
}

bool worker_push(struct worker *worker, struct server_job *job)
{
    pthread_mutex_lock(&worker->mutex);
    bool has_room = !worker->is_closed && worker->jobs_count < JOBS_MAX;
    if (has_room && worker->jobs_count >= worker->idle &&
        worker->threads_count < worker->options.threads_max) {
        start(worker);
    }
    bool is_taken = has_room && worker->threads_count > 0;
    if (is_taken) {
        list_push(&worker->jobs, &job->node);
        worker->jobs_count++;
        pthread_cond_signal(&worker->cond);
    }
    pthread_mutex_unlock(&worker->mutex);
    return is_taken;
}
