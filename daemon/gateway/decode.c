/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/decode.h"

#include "base/base64.h"
#include "base/codec.h"
#include "gateway/number.h"
#include "gateway/token.h"

#include <ctype.h>

/* protobuf-c forgets what a oneof is called. */
static const struct {
    const char *message;
    const char *oneof;
} oneofs[] = {
    {"etcdserverpb.Compare", "target_union"},
    {"etcdserverpb.RequestOp", "request"},
    {"etcdserverpb.ResponseOp", "response"},
    {"etcdserverpb.WatchRequest", "request_union"},
};

struct seen {
    uint64_t fields; /* by index */
    unsigned case_offsets[4];
    size_t case_count;
};

static bool decode_message(
    struct tokens *tokens, const ProtobufCMessageDescriptor *type, struct buf *out);

static const char *oneof_name(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < sizeof(oneofs) / sizeof(oneofs[0]); i++) {
        if (strcmp(oneofs[i].message, type->name) == 0) {
            return oneofs[i].oneof;
        }
    }
    return "oneof";
}

/* "range_end" as "rangeEnd". */
static void camel_case(const char *name, char *out, size_t size)
{
    size_t len = 0;
    bool is_up = false;
    for (; *name && len + 1 < size; name++) {
        if (*name == '_') {
            is_up = true;
            continue;
        }
        out[len++] = is_up ? (char)toupper((unsigned char)*name) : *name;
        is_up = false;
    }
    out[len] = 0;
}

static const ProtobufCFieldDescriptor *find_field(
    const ProtobufCMessageDescriptor *type, struct slice name)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        char camel[64];
        camel_case(type->fields[i].name, camel, sizeof(camel));
        if (slice_eq(name, slice_str(camel)) || slice_eq(name, slice_str(type->fields[i].name))) {
            return &type->fields[i];
        }
    }
    return NULL;
}

static const char *kind_name(ProtobufCType type)
{
    static const char *const names[] = {
        [PROTOBUF_C_TYPE_INT32] = "int32",
        [PROTOBUF_C_TYPE_SINT32] = "sint32",
        [PROTOBUF_C_TYPE_SFIXED32] = "sfixed32",
        [PROTOBUF_C_TYPE_INT64] = "int64",
        [PROTOBUF_C_TYPE_SINT64] = "sint64",
        [PROTOBUF_C_TYPE_SFIXED64] = "sfixed64",
        [PROTOBUF_C_TYPE_UINT32] = "uint32",
        [PROTOBUF_C_TYPE_FIXED32] = "fixed32",
        [PROTOBUF_C_TYPE_UINT64] = "uint64",
        [PROTOBUF_C_TYPE_FIXED64] = "fixed64",
        [PROTOBUF_C_TYPE_FLOAT] = "float",
        [PROTOBUF_C_TYPE_DOUBLE] = "double",
        [PROTOBUF_C_TYPE_BOOL] = "bool",
        [PROTOBUF_C_TYPE_ENUM] = "enum",
        [PROTOBUF_C_TYPE_STRING] = "string",
        [PROTOBUF_C_TYPE_BYTES] = "bytes",
        [PROTOBUF_C_TYPE_MESSAGE] = "message",
    };
    return names[type];
}

static bool fail_value(
    struct tokens *tokens, const ProtobufCFieldDescriptor *field, const struct token *token)
{
    char camel[64];
    camel_case(field->name, camel, sizeof(camel));
    return token_fail(tokens, "", token->at, "invalid value for %s field %s: %.*s",
        kind_name(field->type), camel, (int)token->raw.len, (const char *)token->raw.data);
}

static bool fail_token(struct tokens *tokens, const struct token *token)
{
    return token_fail(tokens, "syntax error ", token->at, "unexpected token %.*s",
        (int)token->raw.len, (const char *)token->raw.data);
}

/* An unknown member's value, whatever it holds. */
static bool skip_value(struct tokens *tokens)
{
    size_t depth = 0;
    struct token token;
    do {
        if (!token_next(tokens, &token)) {
            return false;
        }
        if (token.kind == TOKEN_OPEN || token.kind == TOKEN_LIST_OPEN) {
            depth++;
        } else if (token.kind == TOKEN_CLOSE || token.kind == TOKEN_LIST_CLOSE) {
            depth--;
        }
    } while (depth > 0);
    return true;
}

/* Implicit presence: a zero is not written, except in a oneof or a list. */
static void add_number(struct buf *out, const ProtobufCFieldDescriptor *field, uint64_t number)
{
    bool is_always =
        field->label == PROTOBUF_C_LABEL_REPEATED || field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (is_always) {
        wire_add_varint(out, field->id, number);
    } else {
        wire_add_varint_nz(out, field->id, number);
    }
}

static void add_bytes(struct buf *out, const ProtobufCFieldDescriptor *field, struct slice bytes)
{
    bool is_always =
        field->label == PROTOBUF_C_LABEL_REPEATED || field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (is_always) {
        wire_add_bytes(out, field->id, bytes);
    } else {
        wire_add_bytes_nz(out, field->id, bytes);
    }
}

static bool decode_bytes(struct tokens *tokens, const ProtobufCFieldDescriptor *field,
    const struct token *token, struct buf *out)
{
    struct buf bytes;
    buf_init(&bytes, token->string.len + 4);
    bool is_good = token->kind == TOKEN_STRING && base64_take(token->string, &bytes);
    if (is_good) {
        add_bytes(out, field, buf_slice(&bytes));
    }
    buf_fini(&bytes);
    return is_good ? true : fail_value(tokens, field, token);
}

/* A name that is no value of the enum is skipped, as unknown members are. */
static bool decode_enum(struct tokens *tokens, const ProtobufCFieldDescriptor *field,
    const struct token *token, struct buf *out)
{
    const ProtobufCEnumDescriptor *type = field->descriptor;
    int64_t number;
    if (token->kind == TOKEN_STRING) {
        const char *name = arena_strdup(tokens->arena, (const char *)token->string.data);
        const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(type, name);
        if (value) {
            add_number(out, field, (uint64_t)(int64_t)value->value);
        }
        return true;
    }
    if (token->kind != TOKEN_NUMBER || !number_signed(token->raw, 32, &number)) {
        return fail_value(tokens, field, token);
    }
    add_number(out, field, (uint64_t)number);
    return true;
}

static bool decode_integer(struct tokens *tokens, const ProtobufCFieldDescriptor *field,
    const struct token *token, struct buf *out)
{
    bool is_wide = field->type == PROTOBUF_C_TYPE_INT64 || field->type == PROTOBUF_C_TYPE_UINT64;
    bool is_unsigned =
        field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_UINT32;
    struct slice text = token->kind == TOKEN_STRING ? number_in_text(token->string) : token->raw;
    uint64_t number = 0;
    bool is_good = token->kind == TOKEN_STRING || token->kind == TOKEN_NUMBER;
    if (is_unsigned) {
        is_good = is_good && number_unsigned(text, is_wide ? 64 : 32, &number);
    } else {
        int64_t value = 0;
        is_good = is_good && number_signed(text, is_wide ? 64 : 32, &value);
        number = (uint64_t)value;
    }
    if (!is_good) {
        return fail_value(tokens, field, token);
    }
    add_number(out, field, number);
    return true;
}

static bool decode_scalar(
    struct tokens *tokens, const ProtobufCFieldDescriptor *field, struct buf *out)
{
    struct token token;
    if (!token_next(tokens, &token)) {
        return false;
    }
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return decode_bytes(tokens, field, &token, out);
    case PROTOBUF_C_TYPE_ENUM:
        return decode_enum(tokens, field, &token, out);
    case PROTOBUF_C_TYPE_STRING:
        if (token.kind != TOKEN_STRING) {
            return fail_value(tokens, field, &token);
        }
        add_bytes(out, field, token.string);
        return true;
    case PROTOBUF_C_TYPE_BOOL:
        if (token.kind != TOKEN_BOOL) {
            return fail_value(tokens, field, &token);
        }
        add_number(out, field, token.raw.data[0] == 't');
        return true;
    default:
        check(field->type == PROTOBUF_C_TYPE_INT64 || field->type == PROTOBUF_C_TYPE_UINT64 ||
              field->type == PROTOBUF_C_TYPE_INT32 || field->type == PROTOBUF_C_TYPE_UINT32);
        return decode_integer(tokens, field, &token, out);
    }
}

static bool decode_one(
    struct tokens *tokens, const ProtobufCFieldDescriptor *field, struct buf *out)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return decode_scalar(tokens, field, out);
    }
    struct buf inner;
    buf_init(&inner, out->bytes_max);
    bool is_good = decode_message(tokens, field->descriptor, &inner);
    out->is_full = out->is_full || inner.is_full;
    if (is_good) {
        wire_add_bytes(out, field->id, buf_slice(&inner));
    }
    buf_fini(&inner);
    return is_good;
}

static bool decode_list(
    struct tokens *tokens, const ProtobufCFieldDescriptor *field, struct buf *out)
{
    struct token token;
    if (!token_next(tokens, &token)) {
        return false;
    }
    if (token.kind != TOKEN_LIST_OPEN) {
        return fail_token(tokens, &token);
    }
    while (token_peek(tokens, &token) && token.kind != TOKEN_LIST_CLOSE) {
        if (!decode_one(tokens, field, out)) {
            return false;
        }
    }
    return !tokens->error && token_next(tokens, &token);
}

/* A second member of one oneof. */
static bool note_oneof(struct seen *seen, const ProtobufCFieldDescriptor *field)
{
    if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)) {
        return true;
    }
    for (size_t i = 0; i < seen->case_count; i++) {
        if (seen->case_offsets[i] == field->quantifier_offset) {
            return false;
        }
    }
    check(seen->case_count < 4);
    seen->case_offsets[seen->case_count++] = field->quantifier_offset;
    return true;
}

static bool decode_member(struct tokens *tokens, const ProtobufCMessageDescriptor *type,
    const struct token *name, struct seen *seen, struct buf *out)
{
    const ProtobufCFieldDescriptor *field = find_field(type, name->string);
    struct token value;
    if (!field) {
        return skip_value(tokens);
    }
    uint64_t bit = UINT64_C(1) << (field - type->fields);
    if (seen->fields & bit) {
        return token_fail(tokens, "", name->at, "duplicate field %.*s", (int)name->raw.len,
            (const char *)name->raw.data);
    }
    seen->fields |= bit;
    if (!token_peek(tokens, &value)) {
        return false;
    }
    if (value.kind == TOKEN_NULL) {
        return token_next(tokens, &value);
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return decode_list(tokens, field, out);
    }
    if (!note_oneof(seen, field)) {
        return token_fail(tokens, "", name->at, "error parsing %.*s, oneof %s.%s is already set",
            (int)name->raw.len, (const char *)name->raw.data, type->name, oneof_name(type));
    }
    return decode_one(tokens, field, out);
}

static bool decode_message(
    struct tokens *tokens, const ProtobufCMessageDescriptor *type, struct buf *out)
{
    struct seen seen = {0};
    struct token token;
    check(type->n_fields <= 64);
    if (!token_next(tokens, &token)) {
        return false;
    }
    if (token.kind != TOKEN_OPEN) {
        return fail_token(tokens, &token);
    }
    while (token_next(tokens, &token) && token.kind != TOKEN_CLOSE) {
        if (!decode_member(tokens, type, &token, &seen, out)) {
            return false;
        }
    }
    return !tokens->error;
}

struct err decode_json(const ProtobufCMessageDescriptor *type, struct slice json,
    struct arena *arena, struct buf *out, const char **out_text)
{
    struct tokens tokens;
    while (json.len && strchr(" \t\r\n", json.data[0])) {
        json = slice_of(json.data + 1, json.len - 1);
    }
    tokens_init(&tokens, json, arena);
    if (!decode_message(&tokens, type, out)) {
        *out_text = tokens.error;
        return ERR(BAD_INPUT);
    }
    return out->is_full ? ERR(TOO_BIG) : OK;
}
