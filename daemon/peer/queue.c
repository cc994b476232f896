/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/queue.h"

#include "base/mem.h"

enum { FIRST_CAP = 16 };

void queue_init(struct queue *queue, size_t count_max)
{
    *queue = (struct queue){.count_max = count_max};
}

void queue_fini(struct queue *queue)
{
    struct raft_message message;
    while (queue_pop(queue, &message)) {
        raft_message_fini(&message);
    }
    free(queue->items);
    queue_init(queue, queue->count_max);
}

static size_t bytes_of(const struct raft_message *message)
{
    size_t bytes = 0;
    for (size_t i = 0; i < message->entries_count; i++) {
        bytes += blob_slice(message->entries[i].data).len;
    }
    return bytes;
}

static void grow(struct queue *queue)
{
    size_t cap = queue->cap ? queue->cap * 2 : FIRST_CAP;
    struct raft_message *items = mem_alloc(cap * sizeof(*items));
    for (size_t i = 0; i < queue->count; i++) {
        items[i] = queue->items[(queue->head + i) % queue->cap];
    }
    free(queue->items);
    queue->items = items;
    queue->head = 0;
    queue->cap = cap;
}

bool queue_push(struct queue *queue, struct raft_message *message)
{
    size_t bytes = bytes_of(message);
    bool is_full = queue->count == queue->count_max ||
                   (queue->count > 0 && queue->bytes + bytes > QUEUE_BYTES_MAX);
    if (is_full) {
        return false;
    }
    if (queue->count == queue->cap) {
        grow(queue);
    }
    queue->items[(queue->head + queue->count) % queue->cap] = *message;
    *message = (struct raft_message){0};
    queue->count++;
    queue->bytes += bytes;
    return true;
}

bool queue_pop(struct queue *queue, struct raft_message *out)
{
    if (queue->count == 0) {
        return false;
    }
    *out = queue->items[queue->head];
    queue->head = (queue->head + 1) % queue->cap;
    queue->count--;
    queue->bytes -= bytes_of(out);
    return true;
}
