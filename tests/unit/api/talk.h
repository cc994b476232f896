/* SPDX-License-Identifier: Apache-2.0
 * A service over a member without threads, and calls and streams on it. */
#ifndef TEST_API_TALK_H
#define TEST_API_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/pb.h"
#include "tests/shared/alone.h"

enum { TALK_REQUEST_BYTES_MAX = 2000 };

struct talk {
    struct server *server;
    struct api *api;
    struct arena *arena; /* of what was asked, until the end */
};

/* One end of a stream. */
struct talk_stream {
    struct api_stream stream;
    struct talk *talk;
    int wakes;
    enum api_next last;
    struct api_status status; /* after API_NEXT_END */
};

int talk_setup(void **state);
int talk_teardown(void **state);
#define TALK_TEST(name) cmocka_unit_test_setup_teardown(name, talk_setup, talk_teardown)

/* The response, or NULL with *out_status (which may be NULL when the call has to be OK). */
void *talk_ask(
    struct talk *talk, const char *path, const void *request, struct api_status *out_status);
/* The call has to fail like that. */
void talk_fails(struct talk *talk, const char *path, const void *request, enum grpc_code code,
    const char *text);
int64_t talk_put(struct talk *talk, const char *key, const char *value);
void talk_delete(struct talk *talk, const char *key, const char *end);
void talk_compact(struct talk *talk, int64_t rev);
ProtobufCBinaryData talk_text(const char *text);

void talk_open(struct talk *talk, struct talk_stream *stream, const char *path, bool needs_leader);
void talk_send(struct talk_stream *stream, const void *message);
/* The next message, or NULL: see last and status. */
void *talk_next(struct talk_stream *stream);
/* There is nothing now. */
void talk_is_quiet(struct talk_stream *stream);
/* The stream has ended like that. */
void talk_has_ended(struct talk_stream *stream, enum grpc_code code, const char *text);
void talk_close(struct talk_stream *stream);

/* A header with the ids, the term and that revision. */
void talk_header(const Etcdserverpb__ResponseHeader *header, int64_t rev);

#endif
