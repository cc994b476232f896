/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mailbox.h"

#include "base/err.h"

#include <errno.h>
#include <time.h>

void mailbox_init(struct mailbox *box, size_t items_max)
{
    pthread_condattr_t attr;
    *box = (struct mailbox){.items_max = items_max};
    list_init(&box->items);
    pthread_mutex_init(&box->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&box->cond, &attr);
    pthread_condattr_destroy(&attr);
}

void mailbox_fini(struct mailbox *box)
{
    check(list_is_empty(&box->items));
    pthread_cond_destroy(&box->cond);
    pthread_mutex_destroy(&box->mutex);
}

static bool push(struct mailbox *box, struct list *item, size_t items_max)
{
    pthread_mutex_lock(&box->mutex);
    bool is_taken = !box->is_closed && box->count < items_max;
    bool is_waiting = box->is_waiting;
    if (is_taken) {
        list_push(&box->items, item);
        box->count++;
        box->is_waiting = false; /* one signal a nap, however many push */
    }
    pthread_mutex_unlock(&box->mutex);
    if (is_taken && is_waiting) {
        pthread_cond_signal(&box->cond);
    }
    return is_taken;
}

bool mailbox_push(struct mailbox *box, struct list *item)
{
    return push(box, item, box->items_max);
}

bool mailbox_push_always(struct mailbox *box, struct list *item)
{
    return push(box, item, SIZE_MAX);
}

static struct timespec deadline_after(int64_t timeout_ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += timeout_ms / 1000;
    ts.tv_nsec += (timeout_ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

size_t mailbox_take(struct mailbox *box, struct list *out, int64_t timeout_ms)
{
    pthread_mutex_lock(&box->mutex);
    if (box->count == 0 && !box->is_closed && !box->is_woken && timeout_ms != 0) {
        struct timespec deadline = deadline_after(timeout_ms > 0 ? timeout_ms : 0);
        int rc = 0;
        box->is_waiting = true;
        while (box->is_waiting && !box->is_closed && rc == 0) {
            rc = timeout_ms < 0 ? pthread_cond_wait(&box->cond, &box->mutex)
                                : pthread_cond_timedwait(&box->cond, &box->mutex, &deadline);
        }
        box->is_waiting = false;
    }
    box->is_woken = false;
    size_t taken = box->count;
    list_splice(out, &box->items);
    box->count = 0;
    pthread_mutex_unlock(&box->mutex);
    return taken;
}

void mailbox_wake(struct mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    box->is_woken = true;
    box->is_waiting = false;
    pthread_mutex_unlock(&box->mutex);
    pthread_cond_signal(&box->cond);
}

void mailbox_close(struct mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    box->is_closed = true;
    pthread_mutex_unlock(&box->mutex);
    pthread_cond_signal(&box->cond);
}

bool mailbox_is_closed(struct mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    bool is_closed = box->is_closed;
    pthread_mutex_unlock(&box->mutex);
    return is_closed;
}

size_t mailbox_count(struct mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    size_t count = box->count;
    pthread_mutex_unlock(&box->mutex);
    return count;
}
