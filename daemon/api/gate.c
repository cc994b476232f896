/* SPDX-License-Identifier: Apache-2.0 */
#include "api/gate.h"

#include "base/clock.h"

enum {
    ROW_OVERHEAD = 320, /* a key's row, its references and the heads of its fields */
    ROW_FIRST = 1024,
    LEARN_KEYS_MIN = 16,
};

void gate_init(struct gate *gate, size_t bytes_max)
{
    pthread_condattr_t attr;
    *gate = (struct gate){.bytes_max = bytes_max ? bytes_max : SIZE_MAX, .wait_ms = GATE_WAIT_MS};
    atomic_init(&gate->row_bytes, ROW_FIRST);
    list_init(&gate->waiting);
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->cond, &attr);
    pthread_condattr_destroy(&attr);
}

void gate_fini(struct gate *gate)
{
    check(list_is_empty(&gate->waiting));
    pthread_mutex_lock(&gate->mutex);
    gate->is_closing = true;
    pthread_cond_signal(&gate->cond);
    pthread_mutex_unlock(&gate->mutex);
    if (gate->has_clock) {
        pthread_join(gate->clock, NULL);
    }
    pthread_cond_destroy(&gate->cond);
    pthread_mutex_destroy(&gate->mutex);
}

/* A range larger than the bound goes alone. */
static bool fits(const struct gate *gate, size_t bytes)
{
    return gate->bytes == 0 || (bytes <= gate->bytes_max && gate->bytes <= gate->bytes_max - bytes);
}

static struct gate_pass *first_of(struct list *passes)
{
    return list_is_empty(passes) ? NULL : LIST_ITEM(passes->next, struct gate_pass, node);
}

/* Under the mutex: moves to `in` who may go, to `out` who has waited too long. */
static void sift(struct gate *gate, struct list *in, struct list *out)
{
    struct gate_pass *pass;
    int64_t now_ms = clock_mono_ms();
    while ((pass = first_of(&gate->waiting))) {
        bool is_late = now_ms - pass->since_ms >= gate->wait_ms;
        bool is_let_in = !is_late && fits(gate, pass->bytes);
        if (!is_late && !is_let_in) {
            return;
        }
        gate->bytes += is_let_in ? pass->bytes : 0;
        gate->waiting_count--;
        list_remove(&pass->node);
        list_push(is_let_in ? in : out, &pass->node);
    }
}

static void tell(struct list *passes, struct err err)
{
    struct list *node;
    while ((node = list_pop(passes))) {
        struct gate_pass *pass = LIST_ITEM(node, struct gate_pass, node);
        pass->done(pass, err);
    }
}

/* Under the mutex. */
static void wait_for_the_first(struct gate *gate)
{
    const struct gate_pass *pass = first_of(&gate->waiting);
    if (!pass) {
        pthread_cond_wait(&gate->cond, &gate->mutex);
        return;
    }
    int64_t until_ms = pass->since_ms + gate->wait_ms;
    struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    pthread_cond_timedwait(&gate->cond, &gate->mutex, &until);
}

/* Nothing else may come or go until the first has waited too long. */
static void *look_at_the_time(void *arg)
{
    struct gate *gate = arg;
    struct list in;
    struct list out;
    list_init(&in);
    list_init(&out);
    pthread_mutex_lock(&gate->mutex);
    while (!gate->is_closing) {
        sift(gate, &in, &out);
        if (list_is_empty(&in) && list_is_empty(&out)) {
            wait_for_the_first(gate);
            continue;
        }
        pthread_mutex_unlock(&gate->mutex);
        tell(&in, OK);
        tell(&out, ERR(REQUEST_TOO_MANY_REQUESTS));
        pthread_mutex_lock(&gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
    return NULL;
}

/* Under the mutex, when somebody waits. */
static void wake_clock(struct gate *gate)
{
    if (gate->has_clock) {
        pthread_cond_signal(&gate->cond);
    } else if (pthread_create(&gate->clock, NULL, look_at_the_time, gate) == 0) {
        pthread_setname_np(gate->clock, "gate");
        gate->has_clock = true;
    }
}

static void sift_and_tell(struct gate *gate, struct gate_pass *fresh, size_t left)
{
    struct list in;
    struct list out;
    list_init(&in);
    list_init(&out);
    pthread_mutex_lock(&gate->mutex);
    gate->bytes -= left;
    if (fresh && gate->waiting_count < GATE_WAITING_MAX) {
        list_push(&gate->waiting, &fresh->node);
        gate->waiting_count++;
    } else if (fresh) {
        list_push(&out, &fresh->node);
    }
    sift(gate, &in, &out);
    if (gate->waiting_count == 1 && fresh) {
        wake_clock(gate);
    }
    pthread_mutex_unlock(&gate->mutex);
    tell(&in, OK);
    tell(&out, ERR(REQUEST_TOO_MANY_REQUESTS));
}

void gate_enter(struct gate *gate, struct gate_pass *pass)
{
    pass->since_ms = clock_mono_ms();
    sift_and_tell(gate, pass, 0);
}

void gate_leave(struct gate *gate, size_t bytes)
{
    sift_and_tell(gate, NULL, bytes);
}

size_t gate_guess(const struct gate *gate, uint64_t keys, bool is_keys_only)
{
    uint64_t row = ROW_OVERHEAD;
    row += is_keys_only ? 0 : atomic_load_explicit(&gate->row_bytes, memory_order_relaxed);
    return keys > SIZE_MAX / 2 / row ? SIZE_MAX / 2 : (size_t)(keys * row);
}

/* An eighth of the way to what was seen: races lose a step, which does no harm. */
void gate_learn(struct gate *gate, uint64_t keys, size_t bytes)
{
    if (keys >= LEARN_KEYS_MIN) {
        uint64_t old = atomic_load_explicit(&gate->row_bytes, memory_order_relaxed);
        uint64_t now = (7 * old + bytes / keys) / 8;
        atomic_store_explicit(&gate->row_bytes, now, memory_order_relaxed);
    }
}
