/* SPDX-License-Identifier: Apache-2.0
 *
 * Thread `spare`: fills the log's next segment with zeros, a little at a time, so that neither the
 * disk nor a sync of the log's has much of it before it.
 */
#include "server/spare.h"
#include "server/parts.h"

#include "base/log.h"

#include <sys/resource.h>
#include <unistd.h>

enum { SPARE_PAUSE_MS = 2, SPARE_NICE = 5 };

struct spare_job {
    struct list node;
    struct wal_spare *spare;
};

void spare_fill(struct server *server, struct wal_spare *spare)
{
    struct spare_job *job = mem_new(sizeof(*job));
    job->spare = spare;
    check(mailbox_push_always(&server->spare_box, &job->node));
}

/* Without space the log goes on in what it has; a disk that fails otherwise is not to be trusted
 * with what comes next. */
static void failed(struct server *server, struct err err, const char *what)
{
    if (IS(err, NO_DISK)) {
        LOG_WARN("failed to prepare a segment of the log", LOG_ERR(what));
    } else {
        server_fail(server, what);
    }
}

static void fill(struct server *server, struct wal_spare *spare)
{
    struct list none;
    struct why why = {""};
    struct err err = OK;
    bool is_more = true;
    list_init(&none);
    while (is_more && !mailbox_is_closed(&server->spare_box)) {
        err = wal_spare_step(spare, &is_more, &why);
        if (err_is(err)) {
            failed(server, err, why.text);
            break;
        }
        mailbox_take(&server->spare_box, &none, SPARE_PAUSE_MS);
    }
    pthread_mutex_lock(&server->wal_turn);
    wal_spare_end(server->options.wal, spare);
    pthread_mutex_unlock(&server->wal_turn);
}

void *spare_main(void *arg)
{
    struct server *server = arg;
    struct list jobs;
    struct list *node;
    list_init(&jobs);
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), SPARE_NICE); /* of this thread, on Linux */
    while (mailbox_take(&server->spare_box, &jobs, -1) || !mailbox_is_closed(&server->spare_box)) {
        while ((node = list_pop(&jobs))) {
            struct spare_job *job = LIST_ITEM(node, struct spare_job, node);
            fill(server, job->spare);
            free(job);
        }
    }
    return NULL;
}
