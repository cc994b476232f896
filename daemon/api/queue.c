/* SPDX-License-Identifier: Apache-2.0 */
#include "api/queue.h"

struct queued {
    struct list node;
    struct buf message;
};

void api_queue_init(struct api_queue *queue, struct api_stream *stream, size_t count_max)
{
    *queue = (struct api_queue){.stream = stream, .count_max = count_max};
    pthread_mutex_init(&queue->mutex, NULL);
    list_init(&queue->messages);
}

void api_queue_fini(struct api_queue *queue)
{
    struct list *node;
    while ((node = list_pop(&queue->messages))) {
        struct queued *queued = LIST_ITEM(node, struct queued, node);
        buf_fini(&queued->message);
        free(queued);
    }
    pthread_mutex_destroy(&queue->mutex);
}

static void end_locked(struct api_queue *queue, struct api_status status)
{
    if (!queue->is_ended) {
        queue->is_ended = true;
        queue->status = status;
        queue->stream->wake(queue->stream);
    }
}

void api_queue_push(struct api_queue *queue, struct buf *message)
{
    pthread_mutex_lock(&queue->mutex);
    if (queue->is_ended) {
        buf_fini(message);
    } else if (queue->count == queue->count_max) {
        buf_fini(message);
        end_locked(queue, (struct api_status){GRPC_CODE_RESOURCE_EXHAUSTED,
                              "the client does not read its responses"});
    } else {
        struct queued *queued = mem_new(sizeof(*queued));
        queued->message = *message;
        buf_init(message, message->bytes_max);
        list_push(&queue->messages, &queued->node);
        queue->count++;
        queue->stream->wake(queue->stream);
    }
    pthread_mutex_unlock(&queue->mutex);
}

void api_queue_end(struct api_queue *queue, struct api_status status)
{
    pthread_mutex_lock(&queue->mutex);
    end_locked(queue, status);
    pthread_mutex_unlock(&queue->mutex);
}

enum api_next api_queue_next(
    struct api_queue *queue, struct payload *out, struct api_status *out_status)
{
    enum api_next next = API_NEXT_LATER;
    pthread_mutex_lock(&queue->mutex);
    struct list *node = list_pop(&queue->messages);
    if (node) {
        queue->count--;
    } else if (queue->is_ended) {
        *out_status = queue->status;
        next = API_NEXT_END;
    }
    pthread_mutex_unlock(&queue->mutex);
    if (node) {
        struct queued *queued = LIST_ITEM(node, struct queued, node);
        payload_init(out);
        payload_add_buf(out, &queued->message);
        free(queued);
        next = API_NEXT_MESSAGE;
    }
    return next;
}

size_t api_queue_count(struct api_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    size_t count = queue->count;
    pthread_mutex_unlock(&queue->mutex);
    return count;
}
