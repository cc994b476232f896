/* SPDX-License-Identifier: Apache-2.0
 *
 * codec, crc32c, pb. */
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/pb.h"

#include <raft_internal.pb-c.h>
#include <rpc.pb-c.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_varint_goes_there_and_back(void **state)
{
    static const uint64_t numbers[] = {
        0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, (1ULL << 63) - 1, 1ULL << 63, UINT64_MAX};
    uint8_t bytes[10];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        size_t len = varint_put(bytes, numbers[i]);
        uint64_t back = 0;
        struct wire wire;
        assert_int_equal(len, varint_size(numbers[i]));
        wire_init(&wire, slice_of(bytes, len));
        assert_false(err_is(varint_take(&wire, &back)));
        assert_true(back == numbers[i]);
        assert_false(wire_more(&wire));
        wire_init(&wire, slice_of(bytes, len - 1));
        assert_true(IS(varint_take(&wire, &back), BAD_FORMAT));
    }
}

static void test_fixed_numbers_have_their_order(void **state)
{
    uint8_t bytes[8];
    (void)state;
    put_be64(bytes, 0x0102030405060708);
    assert_memory_equal(bytes, "\1\2\3\4\5\6\7\10", 8);
    assert_true(get_be64(bytes) == 0x0102030405060708);
    assert_true(get_le64(bytes) == 0x0807060504030201);
    put_le32(bytes, 0xa1b2c3d4);
    assert_int_equal(bytes[0], 0xd4);
    assert_true(get_le32(bytes) == 0xa1b2c3d4);
}

static void test_wire_writes_what_protobuf_reads(void **state)
{
    struct arena *arena = arena_new(0);
    struct buf buf;
    Etcdserverpb__RangeRequest *request = NULL;
    (void)state;
    buf_init(&buf, 1000);
    wire_add_bytes(&buf, 1, SLICE("key"));
    wire_add_bytes_nz(&buf, 2, SLICE(""));
    wire_add_varint(&buf, 3, 300);
    wire_add_varint_nz(&buf, 4, 0);
    assert_false(err_is(
        pb_unpack(&etcdserverpb__range_request__descriptor, arena, buf_slice(&buf), &request)));
    assert_true(slice_eq(pb_slice(request->key), SLICE("key")));
    assert_int_equal(request->limit, 300);
    struct buf again;
    buf_init(&again, 1000);
    pb_pack(request, &again);
    assert_true(slice_eq(buf_slice(&buf), buf_slice(&again)));
    assert_true(slice_eq(pb_pack_arena(request, arena), buf_slice(&buf)));
    buf_fini(&again);
    buf_fini(&buf);
    arena_free(arena);
}

static void expect_field_refused(struct slice bytes)
{
    struct wire wire;
    struct wire_field field = {.number = 77};
    wire_init(&wire, bytes);
    assert_true(IS(wire_next(&wire, &field), BAD_FORMAT));
    assert_int_equal(field.number, 77);
}

static void test_wire_refuses_what_is_malformed(void **state)
{
    (void)state;
    expect_field_refused(SLICE("\x00\x00"));  /* field number 0 */
    expect_field_refused(SLICE("\x0a"));      /* no length */
    expect_field_refused(SLICE("\x0a\x02x")); /* shorter than said */
    expect_field_refused(SLICE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")); /* 2^64 - 1 */
    expect_field_refused(SLICE("\x0b"));                                         /* group */
    expect_field_refused(SLICE("\x0c"));                                         /* end of group */
    expect_field_refused(SLICE("\x09\1\2\3\4\5\6\7")); /* seven of eight bytes */
    expect_field_refused(SLICE("\x0d\1\2\3"));         /* three of four */
    expect_field_refused(SLICE("\x08\x80"));           /* torn varint */
    expect_field_refused(SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")); /* 65 bits */
    expect_field_refused(SLICE("\x80\x80\x80\x80\x80\x01\x00")); /* tag past 32 bits */
}

static void test_wire_reads_every_type(void **state)
{
    struct wire wire;
    struct wire_field field;
    (void)state;
    wire_init(&wire, SLICE("\x08\x96\x01\x12\x01z\x1d\1\0\0\0\x21\2\0\0\0\0\0\0\0"));
    assert_false(err_is(wire_next(&wire, &field)));
    assert_int_equal(field.value, 150);
    assert_false(err_is(wire_next(&wire, &field)));
    assert_true(slice_eq(field.bytes, SLICE("z")));
    assert_false(err_is(wire_next(&wire, &field)));
    assert_int_equal(field.number * 10 + field.value, 31);
    assert_false(err_is(wire_next(&wire, &field)));
    assert_int_equal(field.number * 10 + field.value, 42);
    assert_false(wire_more(&wire));
}

/* A transaction within a transaction, levels deep; each level is two messages on the wire. */
static struct slice nested_txn(struct arena *arena, int levels)
{
    struct slice inner = {0};
    for (int i = 0; i < levels; i++) {
        struct buf op;
        struct buf txn;
        buf_init(&op, 1 << 20);
        buf_init(&txn, 1 << 20);
        wire_add_bytes(&op, 4, inner);           /* RequestOp.request_txn */
        wire_add_bytes(&txn, 2, buf_slice(&op)); /* TxnRequest.success */
        inner = arena_dup(arena, buf_slice(&txn));
        buf_fini(&op);
        buf_fini(&txn);
    }
    return inner;
}

static void test_pb_bounds_nesting(void **state)
{
    const ProtobufCMessageDescriptor *type = &etcdserverpb__txn_request__descriptor;
    struct arena *arena = arena_new(0);
    void *message = NULL;
    (void)state;
    assert_false(err_is(pb_unpack(type, arena, nested_txn(arena, 128), &message)));
    message = NULL;
    assert_true(IS(pb_unpack(type, arena, nested_txn(arena, 150), &message), TOO_BIG));
    assert_null(message);
    assert_false(err_is(pb_unpack_log(type, arena, nested_txn(arena, 152), &message)));
    assert_false(err_is(pb_unpack_log(type, arena, nested_txn(arena, 1024), &message)));
    assert_true(IS(pb_unpack_log(type, arena, nested_txn(arena, 20000 / 16), &message), TOO_BIG));
    arena_free(arena);
}

/* Two bytes of the wire a field: little to send, much to hold. */
static void test_pb_bounds_the_fields_of_a_request(void **state)
{
    const ProtobufCMessageDescriptor *type = &etcdserverpb__txn_request__descriptor;
    struct arena *arena = arena_new(0);
    struct buf buf;
    void *message = NULL;
    (void)state;
    buf_init(&buf, 1 << 20);
    for (size_t i = 0; i < PB_FIELDS_MAX; i++) {
        buf_add(&buf, "\x78\x01", 2); /* field 15, which TxnRequest does not have */
    }
    assert_false(err_is(pb_unpack_request(type, arena, buf_slice(&buf), &message)));
    buf_add(&buf, "\x78\x01", 2);
    message = NULL;
    assert_true(IS(pb_unpack_request(type, arena, buf_slice(&buf), &message), TOO_BIG));
    assert_null(message);
    buf_fini(&buf);
    arena_free(arena);
}

static void test_pb_refuses_bytes_of_another_kind(void **state)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__RangeRequest *request = NULL;
    (void)state;
    assert_true(
        IS(pb_unpack(&etcdserverpb__range_request__descriptor, arena, SLICE("\x0a\xff"), &request),
            BAD_FORMAT));
    assert_null(request);
    arena_free(arena);
}

/* InternalRaftRequest{put: PutRequest{key: "a", more}}. */
static struct slice raft_put(struct arena *arena, struct slice more)
{
    struct buf put;
    struct buf raft;
    buf_init(&put, 1000);
    buf_init(&raft, 1000);
    buf_add_str(&put, "\x0a\x01"
                      "a");
    buf_add_slice(&put, more);
    wire_add_bytes(&raft, 4, buf_slice(&put));
    struct slice bytes = arena_dup(arena, buf_slice(&raft));
    buf_fini(&raft);
    buf_fini(&put);
    return bytes;
}

#define FORM(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

/* Each stands between a client and the log of members of etcd 3.6 or 3.7. */
static const struct slice kept_there[] = {
    FORM("\xa3\x06\xa4\x06"),                                      /* an empty group */
    FORM("\xa3\x06\x0b\x08\x01\x0c\x01\1\2\3\4\5\6\7\10\xa4\x06"), /* groups, any field number */
    FORM("\x80\x80\x80\x80\x10\x01"),                              /* a tag past 32 bits */
    FORM("\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),          /* a value past 64 bits */
    FORM("\x7a\x81\x80\x80\x80\x80\x00x"),                         /* a length of six bytes */
    FORM("\x1a\x01x"),                                             /* lease, of another wire type */
    FORM("\x22\x01\x01"),                                          /* prev_kv, a boolean */
};

static void test_pb_log_leaves_out_what_it_cannot_name(void **state)
{
    const ProtobufCMessageDescriptor *type = &etcdserverpb__internal_raft_request__descriptor;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kept_there); i++) {
        struct arena *arena = arena_new(0);
        Etcdserverpb__InternalRaftRequest *raft = NULL;
        struct slice bytes = raft_put(arena, kept_there[i]);
        assert_false(err_is(pb_unpack_log(type, arena, bytes, &raft)));
        assert_true(slice_eq(pb_slice(raft->put->key), SLICE("a")));
        assert_true(slice_eq(pb_pack_arena(raft, arena), raft_put(arena, (struct slice){0})));
        arena_free(arena);
    }
}

static void test_pb_log_refuses_what_nobody_takes(void **state)
{
    static const struct slice refused[] = {
        FORM("\xa3\x06"),                                         /* a group without an end */
        FORM("\xa3\x06\xa3\x06\xa4\x06"),                         /* two, and one end */
        FORM("\xa4\x06"),                                         /* an end without a group */
        FORM("\xa3\x06\x0d\1\2\3"),                               /* torn within */
        FORM("\xa3\x06\x0e\xa4\x06"),                             /* a wire type that is none */
        FORM("\x00\x00"),                                         /* field number 0 */
        FORM("\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* eleven bytes */
        FORM("\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),     /* a length past the end */
    };
    const ProtobufCMessageDescriptor *type = &etcdserverpb__internal_raft_request__descriptor;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct arena *arena = arena_new(0);
        void *raft = NULL;
        struct slice bytes = raft_put(arena, refused[i]);
        assert_true(IS(pb_unpack_log(type, arena, bytes, &raft), BAD_FORMAT));
        assert_null(raft);
        arena_free(arena);
    }
}

static void expect_proposal(const char *text, struct slice bytes, struct slice logged)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__TxnRequest *txn = NULL;
    struct slice out = bytes;
    struct err err = pb_unpack_proposal(&etcdserverpb__txn_request__descriptor, arena, &out, &txn);
    if (err_is(err) || !slice_eq(out, logged) ||
        (slice_eq(bytes, logged) && out.data != bytes.data)) {
        fail_msg("%s", text);
    }
    arena_free(arena);
}

static void test_pb_packs_again_what_readers_may_differ_about(void **state)
{
    static const char put[] = "\x12\x05\x12\x03\x0a\x01\x62"; /* success { put { key b } } */
    struct slice one = slice_of(put, sizeof(put) - 1);
    (void)state;
    expect_proposal("as it came", one, one);
    expect_proposal("many of a list", SLICE("\x12\x02\x12\0\x12\x02\x12\0"),
        SLICE("\x12\x02\x12\0\x12\x02\x12\0"));
    expect_proposal("a key twice", SLICE("\x12\x08\x12\x06\x0a\x01\x61\x0a\x01\x62"), one);
    expect_proposal("two of one choice",
        SLICE("\x12\x0d\x12\x06\x0a\x01\x61\x12\x01\x78\x12\x03\x0a\x01\x62"), one);
    expect_proposal(
        "one choice and another", SLICE("\x12\x0a\x1a\x03\x0a\x01\x61\x12\x03\x0a\x01\x62"), one);
    expect_proposal("an unknown number", SLICE("\x78\x01\x12\x05\x12\x03\x0a\x01\x62"), one);
    expect_proposal("unknown within", SLICE("\x12\x08\x12\x06\x0a\x01\x62\x7a\x01\x61"), one);
}

/* As alone, so beside what no reader names. */
static void test_pb_refuses_a_request_with_a_field_of_another_wire_type(void **state)
{
    static const struct slice wrong[] = {
        FORM("\x0a\x01\x61\x10\x05"),         /* range_end, a number */
        FORM("\x0a\x01\x61\x10\x05\x78\x01"), /* the same, and field 15 */
        FORM("\x78\x01\x08\x05"),             /* key, a number */
        FORM("\x78\x01\x1a\x01\x61"),         /* prev_kv, bytes */
    };
    const ProtobufCMessageDescriptor *type = &etcdserverpb__delete_range_request__descriptor;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct arena *arena = arena_new(0);
        struct slice bytes = wrong[i];
        void *request = NULL;
        assert_true(IS(pb_unpack_proposal(type, arena, &bytes, &request), BAD_FORMAT));
        assert_null(request);
        arena_free(arena);
    }
}

static void test_pb_is_text(void **state)
{
    (void)state;
    assert_true(pb_is_text(SLICE("")));
    assert_true(pb_is_text(SLICE("r\xc3\xb4le")));
    assert_false(pb_is_text(SLICE("\xff")));
    assert_false(pb_is_text(SLICE("a\0b")));
}

static void test_crc32c_is_castagnolis(void **state)
{
    uint8_t bytes[300];
    (void)state;
    assert_true(crc32c(0, SLICE("123456789")) == 0xe3069283);
    assert_int_equal(crc32c(0, SLICE("")), 0);
    memset(bytes, 0, 32);
    assert_true(crc32c(0, slice_of(bytes, 32)) == 0x8a9136aa); /* RFC 3720, B.4 */
    memset(bytes, 0xff, 32);
    assert_true(crc32c(0, slice_of(bytes, 32)) == 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    uint32_t whole = crc32c(0, slice_of(bytes, sizeof(bytes)));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint32_t crc = crc32c(0, slice_of(bytes, cut));
        assert_true(crc32c(crc, slice_of(bytes + cut, sizeof(bytes) - cut)) == whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint_goes_there_and_back),
        cmocka_unit_test(test_fixed_numbers_have_their_order),
        cmocka_unit_test(test_wire_writes_what_protobuf_reads),
        cmocka_unit_test(test_wire_refuses_what_is_malformed),
        cmocka_unit_test(test_wire_reads_every_type),
        cmocka_unit_test(test_pb_bounds_nesting),
        cmocka_unit_test(test_pb_bounds_the_fields_of_a_request),
        cmocka_unit_test(test_pb_refuses_bytes_of_another_kind),
        cmocka_unit_test(test_pb_log_leaves_out_what_it_cannot_name),
        cmocka_unit_test(test_pb_log_refuses_what_nobody_takes),
        cmocka_unit_test(test_pb_packs_again_what_readers_may_differ_about),
        cmocka_unit_test(test_pb_refuses_a_request_with_a_field_of_another_wire_type),
        cmocka_unit_test(test_pb_is_text),
        cmocka_unit_test(test_crc32c_is_castagnolis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
