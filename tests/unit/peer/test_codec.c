/* SPDX-License-Identifier: Apache-2.0
 * raftpb.Message: bytes of real members, and what must be refused. */
#include "base/codec.h"
#include "base/mem.h"
#include "captured.h"
#include "peer/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* What 3.6 sends has a vote at its end and no empty snapshot in every message. */
#define EMPTY_SNAPSHOT "4a0a12080a022800100018005000"

static void parse(const char *hex, struct raft_message *out)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 16);
    from_hex(hex, &bytes);
    assert_int_equal(codec_parse_message(buf_slice(&bytes), out).code, ERR_OK);
    buf_fini(&bytes);
}

static enum err_code parse_code(struct slice bytes)
{
    struct raft_message message;
    struct err err = codec_parse_message(bytes, &message);
    if (!err_is(err)) {
        raft_message_fini(&message);
    }
    return err.code;
}

/* The captured text without the empty snapshot and with vote 0: as 3.6 writes the same. */
static void expect_encoded(const struct raft_message *message, const char *captured)
{
    struct buf want;
    struct buf got;
    const char *snapshot = strstr(captured, EMPTY_SNAPSHOT);
    assert_non_null(snapshot);
    char *text = mem_printf(
        "%.*s5000%s6800", (int)(snapshot - captured), captured, snapshot + strlen(EMPTY_SNAPSHOT));
    buf_init(&want, 1 << 16);
    buf_init(&got, 1 << 16);
    from_hex(text, &want);
    codec_add_message(message, &got);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    assert_int_equal(codec_message_size(message), got.len);
    buf_fini(&want);
    buf_fini(&got);
    free(text);
}

static void test_captured_messages_are_read_and_written(void **state)
{
    struct raft_message message;
    (void)state;
    parse(CAPTURED_APP_RESP, &message);
    assert_int_equal(message.type, RAFT_MSG_APP_RESP);
    assert_int_equal(message.to, LEADER);
    assert_int_equal(message.from, FOLLOWER);
    assert_int_equal(message.term, 2);
    assert_int_equal(message.index, 3);
    assert_null(message.snapshot);
    expect_encoded(&message, CAPTURED_APP_RESP);
    raft_message_fini(&message);
    parse(CAPTURED_HEARTBEAT, &message);
    assert_int_equal(message.commit, 6);
    expect_encoded(&message, CAPTURED_HEARTBEAT);
    raft_message_fini(&message);
    parse(CAPTURED_LINK_HEARTBEAT, &message);
    assert_true(codec_is_link_heartbeat(&message));
    expect_encoded(&message, CAPTURED_LINK_HEARTBEAT);
    raft_message_fini(&message);
}

static void test_entries_keep_their_bytes(void **state)
{
    struct raft_message message;
    (void)state;
    parse(CAPTURED_READ_INDEX, &message);
    assert_int_equal(message.entries_count, 1);
    assert_int_equal(message.entries[0].data->len, 8);
    expect_encoded(&message, CAPTURED_READ_INDEX);
    raft_message_fini(&message);
    parse(CAPTURED_PROP, &message);
    assert_int_equal(message.type, RAFT_MSG_PROP);
    assert_int_equal(message.entries_count, 1);
    assert_memory_equal(message.entries[0].data->data + 4, "hello", 5);
    expect_encoded(&message, CAPTURED_PROP);
    raft_message_fini(&message);
}

static void test_everything_survives_there_and_back(void **state)
{
    struct raft_snapshot_meta meta = {.index = 9, .term = 3};
    struct blob *data = blob_new(SLICE("{}"));
    struct raft_message message = {.type = RAFT_MSG_SNAP, .to = 1, .from = 2, .term = 4};
    struct raft_message back;
    struct buf bytes;
    (void)state;
    meta.conf.voters.ids[0] = 1;
    meta.conf.voters.ids[1] = UINT64_MAX;
    meta.conf.voters.count = 2;
    message.snapshot = raft_snapshot_new(&meta, data);
    message.context = blob_new(SLICE("CampaignTransfer"));
    message.reject = true;
    message.reject_hint = 77;
    message.vote = 5;
    message.log_term = 1;
    buf_init(&bytes, 1 << 16);
    codec_add_message(&message, &bytes);
    assert_int_equal(bytes.len, codec_message_size(&message));
    assert_int_equal(codec_parse_message(buf_slice(&bytes), &back).code, ERR_OK);
    assert_int_equal(back.snapshot->meta.index, 9);
    assert_int_equal(back.snapshot->meta.conf.voters.ids[1], UINT64_MAX);
    assert_memory_equal(back.snapshot->data->data, "{}", 2);
    assert_true(slice_eq(blob_slice(back.context), SLICE("CampaignTransfer")));
    assert_true(back.reject && back.reject_hint == 77 && back.vote == 5 && back.log_term == 1);
    raft_message_fini(&back);
    raft_message_fini(&message);
    blob_unref(data);
    buf_fini(&bytes);
}

static void test_every_cut_is_refused_or_shorter(void **state)
{
    struct buf bytes;
    (void)state;
    buf_init(&bytes, 1 << 16);
    from_hex(CAPTURED_PROP, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *cut = mem_dup(bytes.data, len);
        enum err_code code = parse_code(slice_of(cut, len));
        assert_true(code == ERR_OK || code == ERR_BAD_FORMAT);
        free(cut);
    }
    buf_fini(&bytes);
}

static void test_bad_fields_are_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_code(SLICE("\x08\x18")), ERR_BAD_FORMAT);         /* type 24 */
    assert_int_equal(parse_code(SLICE("\x0a\x00")), ERR_BAD_FORMAT);         /* type as bytes */
    assert_int_equal(parse_code(SLICE("\x38\x00")), ERR_BAD_FORMAT);         /* entry as number */
    assert_int_equal(parse_code(SLICE("\x3a\x02\x08\x03")), ERR_BAD_FORMAT); /* entry type 3 */
    assert_int_equal(parse_code(SLICE("\x3a\x05\x08")), ERR_BAD_FORMAT);     /* past the end */
    assert_int_equal(parse_code(SLICE("\x08\x07")), ERR_BAD_FORMAT); /* snapshot without one */
    assert_int_equal(parse_code(SLICE("\x78\x01")), ERR_OK);         /* a later field: 15 */
}

static void test_a_crowd_of_empty_entries_is_refused(void **state)
{
    struct buf bytes;
    (void)state;
    buf_init(&bytes, 1 << 20);
    for (size_t i = 0; i <= CODEC_ENTRIES_MAX; i++) {
        buf_add(&bytes, "\x3a\x00", 2);
    }
    assert_int_equal(parse_code(buf_slice(&bytes)), ERR_TOO_BIG);
    assert_int_equal(parse_code(slice_of(bytes.data, bytes.len - 2)), ERR_OK);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_messages_are_read_and_written),
        cmocka_unit_test(test_entries_keep_their_bytes),
        cmocka_unit_test(test_everything_survives_there_and_back),
        cmocka_unit_test(test_every_cut_is_refused_or_shorter),
        cmocka_unit_test(test_bad_fields_are_refused),
        cmocka_unit_test(test_a_crowd_of_empty_entries_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
