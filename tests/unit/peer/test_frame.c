/* SPDX-License-Identifier: Apache-2.0
 * The two streams' framing: a real member's bytes in pieces of every size, our bytes against them,
 * and what must be refused before memory is taken. */
#include "base/codec.h"
#include "base/mem.h"
#include "captured.h"
#include "peer/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MESSAGES_MAX = 16 };

struct heard {
    struct raft_message messages[MESSAGES_MAX];
    size_t count;
};

static void heard_fini(struct heard *heard)
{
    for (size_t i = 0; i < heard->count; i++) {
        raft_message_fini(&heard->messages[i]);
    }
}

/* Each piece in memory of its own, so that reading past it is seen. */
static struct err read_pieces(
    struct frame_reader *reader, struct slice bytes, size_t step, struct heard *heard)
{
    for (size_t at = 0; at < bytes.len; at += step) {
        size_t len = step < bytes.len - at ? step : bytes.len - at;
        uint8_t *piece = mem_dup(bytes.data + at, len);
        struct slice data = slice_of(piece, len);
        struct err err = OK;
        while (data.len && !err_is(err)) {
            bool has = false;
            assert_true(heard->count < MESSAGES_MAX);
            err = frame_take(reader, &data, &has, &heard->messages[heard->count]);
            heard->count += !err_is(err) && has;
        }
        free(piece);
        TRY(err);
    }
    return OK;
}

static enum err_code read_all(
    enum frame_kind kind, struct slice bytes, size_t step, struct heard *heard)
{
    struct frame_reader reader;
    heard->count = 0;
    frame_reader_init(&reader, kind, FOLLOWER, LEADER, FRAME_BYTES_MAX);
    enum err_code code = read_pieces(&reader, bytes, step, heard).code;
    frame_reader_fini(&reader);
    return code;
}

static void expect_append(const struct raft_message *message, uint64_t index, size_t entries_count,
    uint64_t log_term, uint64_t commit)
{
    assert_int_equal(message->type, RAFT_MSG_APP);
    assert_int_equal(message->from, LEADER);
    assert_int_equal(message->to, FOLLOWER);
    assert_int_equal(message->term, 2);
    assert_int_equal(message->log_term, log_term);
    assert_int_equal(message->index, index);
    assert_int_equal(message->entries_count, entries_count);
    assert_int_equal(message->commit, commit);
    for (size_t i = 0; i < entries_count; i++) {
        assert_int_equal(message->entries[i].index, index + 1 + i);
    }
}

static void test_captured_msgapp_is_read_in_pieces(void **state)
{
    struct heard heard;
    struct buf bytes;
    (void)state;
    buf_init(&bytes, 1 << 16);
    from_hex(CAPTURED_MSGAPP, &bytes);
    for (size_t step = 1; step <= bytes.len; step++) {
        assert_int_equal(read_all(FRAME_MSGAPP, buf_slice(&bytes), step, &heard), ERR_OK);
        assert_int_equal(heard.count, 7);
        expect_append(&heard.messages[0], 2, 1, 1, 2);
        expect_append(&heard.messages[1], 3, 2, 2, 3);
        expect_append(&heard.messages[2], 5, 1, 2, 3);
        expect_append(&heard.messages[3], 6, 0, 2, 5);
        expect_append(&heard.messages[4], 6, 0, 2, 6);
        expect_append(&heard.messages[5], 6, 1, 2, 6);
        expect_append(&heard.messages[6], 7, 0, 2, 7);
        assert_memory_equal(heard.messages[5].entries[0].data->data + 4, "hello", 5);
        heard_fini(&heard);
    }
    buf_fini(&bytes);
}

/* Written again, all but the first frame (in which 3.5 has its empty snapshot) is the same. */
static void test_msgapp_is_written_as_captured(void **state)
{
    struct heard heard;
    struct frame_writer writer;
    struct buf want;
    struct buf got;
    (void)state;
    buf_init(&want, 1 << 16);
    buf_init(&got, 1 << 16);
    from_hex(CAPTURED_MSGAPP, &want);
    assert_int_equal(read_all(FRAME_MSGAPP, buf_slice(&want), want.len, &heard), ERR_OK);
    frame_writer_init(&writer, FRAME_MSGAPP);
    for (size_t i = 0; i < heard.count; i++) {
        if (i == 5) {
            frame_add_heartbeat(&writer, &got);
            frame_add_heartbeat(&writer, &got);
        }
        frame_add(&writer, &heard.messages[i], &got);
    }
    size_t want_first = 9 + (size_t)get_be64(want.data + 1);
    size_t got_first = 9 + (size_t)get_be64(got.data + 1);
    assert_int_equal(got.data[0], 2);
    assert_int_equal(got.len - got_first, want.len - want_first);
    assert_memory_equal(got.data + got_first, want.data + want_first, got.len - got_first);
    heard_fini(&heard);
    buf_fini(&want);
    buf_fini(&got);
}

static void test_messages_are_framed_there_and_back(void **state)
{
    struct raft_message vote = {.type = RAFT_MSG_VOTE, .from = 1, .to = 2, .term = 3, .index = 4};
    struct frame_writer writer;
    struct heard heard;
    struct buf bytes;
    (void)state;
    buf_init(&bytes, 1 << 16);
    frame_writer_init(&writer, FRAME_MESSAGE);
    frame_add(&writer, &vote, &bytes);
    frame_add_heartbeat(&writer, &bytes);
    for (size_t step = 1; step <= bytes.len; step++) {
        assert_int_equal(read_all(FRAME_MESSAGE, buf_slice(&bytes), step, &heard), ERR_OK);
        assert_int_equal(heard.count, 2);
        assert_int_equal(heard.messages[0].type, RAFT_MSG_VOTE);
        assert_int_equal(heard.messages[0].index, 4);
        assert_true(codec_is_link_heartbeat(&heard.messages[1]));
        heard_fini(&heard);
    }
    buf_fini(&bytes);
}

static enum err_code read_hex(enum frame_kind kind, const char *hex)
{
    struct heard heard;
    struct buf bytes;
    buf_init(&bytes, 1 << 16);
    from_hex(hex, &bytes);
    enum err_code code = read_all(kind, buf_slice(&bytes), bytes.len, &heard);
    heard_fini(&heard);
    buf_fini(&bytes);
    return code;
}

static void test_what_is_no_frame_is_refused(void **state)
{
    (void)state;
    assert_int_equal(read_hex(FRAME_MSGAPP, "03"), ERR_BAD_FORMAT);
    assert_int_equal(read_hex(FRAME_MSGAPP, "01"), ERR_BAD_FORMAT); /* goes on from nothing */
    /* a vote, and an append of term 0, where only appends are */
    assert_int_equal(read_hex(FRAME_MSGAPP, "020000000000000004"
                                            "08052002"),
        ERR_BAD_FORMAT);
    assert_int_equal(read_hex(FRAME_MSGAPP, "020000000000000002"
                                            "0803"),
        ERR_BAD_FORMAT);
    assert_int_equal(read_hex(FRAME_MESSAGE, "000000000000000108"), ERR_BAD_FORMAT);
}

static void test_huge_lengths_are_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(read_hex(FRAME_MESSAGE, "0000000020000001"), ERR_TOO_BIG);
    assert_int_equal(read_hex(FRAME_MESSAGE, "ffffffffffffffff"), ERR_TOO_BIG);
    assert_int_equal(read_hex(FRAME_MSGAPP, "02ffffffffffffffff"), ERR_TOO_BIG);
    /* after an append of term 2: too many entries, entries too big, too big together */
    assert_int_equal(read_hex(FRAME_MSGAPP, "020000000000000004"
                                            "08032002"
                                            "010000000000040001"),
        ERR_TOO_BIG);
    assert_int_equal(read_hex(FRAME_MSGAPP, "020000000000000004"
                                            "08032002"
                                            "0100000000000000010000000020000001"),
        ERR_TOO_BIG);
    assert_int_equal(read_hex(FRAME_MSGAPP, "020000000000000004"
                                            "08032002"
                                            "010000000000000002"
                                            "00000000000000020800"
                                            "0000000020000000"),
        ERR_TOO_BIG);
}

/* A length that is allowed but never comes costs nothing. */
static void test_memory_follows_what_came(void **state)
{
    struct frame_reader reader;
    struct raft_message message;
    struct slice data = SLICE("\x00\x00\x00\x00\x1f\xff\xff\xff\x08\x03");
    bool has = true;
    (void)state;
    frame_reader_init(&reader, FRAME_MESSAGE, 1, 2, FRAME_BYTES_MAX);
    assert_int_equal(frame_take(&reader, &data, &has, &message).code, ERR_OK);
    assert_false(has);
    assert_int_equal(data.len, 0);
    assert_true(reader.held.cap < 4096);
    frame_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_msgapp_is_read_in_pieces),
        cmocka_unit_test(test_msgapp_is_written_as_captured),
        cmocka_unit_test(test_messages_are_framed_there_and_back),
        cmocka_unit_test(test_what_is_no_frame_is_refused),
        cmocka_unit_test(test_huge_lengths_are_refused_at_once),
        cmocka_unit_test(test_memory_follows_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
