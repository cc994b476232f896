/* SPDX-License-Identifier: Apache-2.0
 * What refuses every unary call, whatever its method: each method that is added is asked too. */
#include "talk.h"

#include "base/mem.h"

#include <stdio.h>

static void done(struct api_call *call)
{
    *(int *)call->edge += 1;
}

/* Refused before anything could wait. The text lives until the next call. */
static struct api_status refused(
    struct talk *talk, const struct api_method *method, struct slice request, bool has_leader)
{
    static char text[256];
    int dones = 0;
    struct payload payload;
    struct api_status status;
    struct api_call call = {.method = method,
        .arena = arena_new(0),
        .request = request,
        .caller.has_leader = has_leader,
        .deadline_ns = INT64_MAX,
        .done = done,
        .edge = &dones};
    api_call_start(talk->api, &call);
    if (dones != 1) {
        fail_msg("%s: not refused at once", method->path);
    }
    api_call_finish(&call, &payload, &status);
    assert_int_equal(payload.bytes, 0);
    payload_fini(&payload);
    snprintf(text, sizeof(text), "%s", status.text);
    status.text = text;
    arena_free(call.arena);
    return status;
}

static void every_unary_is_refused(
    struct talk *talk, struct slice request, bool has_leader, enum grpc_code code, const char *text)
{
    size_t count;
    size_t unaries = 0;
    const struct api_method *methods = api_methods(&count);
    for (size_t i = 0; i < count; i++) {
        if (methods[i].kind != API_UNARY) {
            continue;
        }
        struct api_status status = refused(talk, &methods[i], request, has_leader);
        if (status.code != code || strcmp(status.text, text) != 0) {
            fail_msg("%s: %d %s", methods[i].path, (int)status.code, status.text);
        }
        unaries++;
    }
    assert_true(unaries > 40);
}

/* The reference's words, but for health, whose messages Go reads with other code. */
static void test_every_malformed_request_is_refused(void **state)
{
    struct talk *talk = *state;
    int64_t rev = talk_put(talk, "k", "v");
    every_unary_is_refused(talk, SLICE("\xff"), false, GRPC_CODE_INTERNAL,
        "grpc: error unmarshalling request: unexpected EOF");
    every_unary_is_refused(talk, SLICE("\x7a\x7f"), false, GRPC_CODE_INTERNAL,
        "grpc: error unmarshalling request: unexpected EOF");
    assert_int_equal(talk_put(talk, "k", "v"), rev + 1); /* nothing was done */
}

static void test_every_call_that_wants_a_leader_is_refused_without_one(void **state)
{
    struct talk *talk = *state;
    int64_t rev = talk_put(talk, "k", "v");
    alone_set_leader(talk->server, false);
    every_unary_is_refused(talk, SLICE(""), true, GRPC_CODE_UNAVAILABLE, "etcdserver: no leader");
    alone_set_leader(talk->server, true);
    struct api_status status =
        refused(talk, api_method_find(SLICE("/etcdserverpb.KV/Put")), SLICE(""), true);
    assert_string_equal(status.text, "etcdserver: key is not provided");
    assert_int_equal(talk_put(talk, "k", "v"), rev + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_every_malformed_request_is_refused),
        TALK_TEST(test_every_call_that_wants_a_leader_is_refused_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
