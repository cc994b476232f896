/* SPDX-License-Identifier: Apache-2.0 */
#include "api/late.h"

void late_init(struct late *late)
{
    *late = (struct late){0};
    pthread_mutex_init(&late->mutex, NULL);
}

void late_fini(struct late *late)
{
    pthread_mutex_destroy(&late->mutex);
}

void late_await(struct late *late)
{
    late->is_awaited = true; /* nobody else knows of it yet */
}

void late_give_up(struct late *late)
{
    late->is_awaited = false;
}

bool late_is_closed(struct late *late)
{
    pthread_mutex_lock(&late->mutex);
    bool is_closed = late->is_closed;
    pthread_mutex_unlock(&late->mutex);
    return is_closed;
}

bool late_arrive(struct late *late, void (*deliver)(void *arg), void *arg)
{
    pthread_mutex_lock(&late->mutex);
    bool is_closed = late->is_closed;
    late->is_awaited = false;
    if (!is_closed) {
        deliver(arg);
    }
    pthread_mutex_unlock(&late->mutex);
    return !is_closed;
}

bool late_close(struct late *late)
{
    pthread_mutex_lock(&late->mutex);
    bool is_awaited = late->is_awaited;
    late->is_closed = true;
    pthread_mutex_unlock(&late->mutex);
    return !is_awaited;
}
