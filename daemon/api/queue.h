/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream's outgoing messages where there are few: bounded, with the end behind them. Any thread.
 */
#ifndef API_QUEUE_H
#define API_QUEUE_H

#include "api/state.h"

#include <pthread.h>

struct api_queue {
    pthread_mutex_t mutex;
    struct api_stream *stream;
    struct list messages;
    size_t count;
    size_t count_max;
    struct api_status status;
    bool is_ended;
};

void api_queue_init(struct api_queue *queue, struct api_stream *stream, size_t count_max);
void api_queue_fini(struct api_queue *queue);
/* Takes the buffer and wakes the edge. A full queue ends the stream: the client sends and does not
 * read. */
void api_queue_push(struct api_queue *queue, struct buf *message);
void api_queue_end(struct api_queue *queue, struct api_status status);
enum api_next api_queue_next(
    struct api_queue *queue, struct payload *out, struct api_status *out_status);
size_t api_queue_count(struct api_queue *queue);

#endif
