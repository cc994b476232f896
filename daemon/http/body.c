/* SPDX-License-Identifier: Apache-2.0 */
#include "http/body.h"

#include "base/text.h"

enum { LINE_MAX_BYTES = 4096, TRAILER_MAX_BYTES = 64 << 10, SIZE_DIGITS_MAX = 15 };

void body_init(struct body *body, bool is_chunked, int64_t content_length)
{
    *body = (struct body){.state = is_chunked ? BODY_SIZE : BODY_LENGTH};
    if (!is_chunked) {
        body->left = content_length > 0 ? (uint64_t)content_length : 0;
        body->state = body->left ? BODY_LENGTH : BODY_DONE;
    }
}

void body_init_endless(struct body *body)
{
    *body = (struct body){.state = BODY_LENGTH, .left = UINT64_MAX};
}

static size_t fail(struct body *body, const char *what)
{
    body->state = BODY_BROKEN;
    body->broken = what;
    return 0;
}

static size_t take_data(struct body *body, struct slice data, struct slice *out_piece)
{
    size_t len = data.len < body->left ? data.len : (size_t)body->left;
    *out_piece = slice_of(data.data, len);
    body->left -= len;
    if (body->left == 0) {
        body->state = body->state == BODY_LENGTH ? BODY_DONE : BODY_DATA_END;
    }
    return len;
}

static size_t take_size(struct body *body, uint8_t c)
{
    int digit = text_hex_digit((char)c);
    if (digit >= 0) {
        if (++body->digits > SIZE_DIGITS_MAX) {
            return fail(body, "http chunk length too large");
        }
        body->left = body->left << 4 | (unsigned)digit;
        return 1;
    }
    if (body->digits == 0 || !(c == ';' || c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
        return fail(body, "invalid byte in chunk length");
    }
    body->state = BODY_EXTENSION;
    body->line_len = 0;
    return c == ';' || c == ' ' || c == '\t' ? 1 : 0;
}

/* The rest of the size's line: blanks or an extension, which means nothing here. */
static size_t take_extension(struct body *body, uint8_t c)
{
    if (++body->line_len > LINE_MAX_BYTES) {
        return fail(body, "header line too long");
    }
    if (c == '\n') {
        body->state = body->left ? BODY_DATA : BODY_TRAILER;
        body->line_len = 0;
        body->digits = 0;
    }
    return 1;
}

static size_t take_data_end(struct body *body, uint8_t c)
{
    bool is_return = c == '\r' && body->line_len == 0;
    if (!is_return && c != '\n') {
        return fail(body, "malformed chunked encoding");
    }
    body->line_len = is_return ? 1 : 0;
    if (c == '\n') {
        body->state = BODY_SIZE;
    }
    return 1;
}

/* Lines up to a blank one. */
static size_t take_trailer(struct body *body, uint8_t c)
{
    if (++body->trailer_len > TRAILER_MAX_BYTES) {
        return fail(body, "http: suspiciously long trailer after chunked body");
    }
    if (c == '\n') {
        body->state = body->line_len == 0 ? BODY_DONE : BODY_TRAILER;
        body->line_len = 0;
    } else if (c != '\r') {
        body->line_len++;
    }
    return 1;
}

static size_t take_byte(struct body *body, uint8_t c)
{
    switch (body->state) {
    case BODY_SIZE:
        return take_size(body, c);
    case BODY_EXTENSION:
        return take_extension(body, c);
    case BODY_DATA_END:
        return take_data_end(body, c);
    case BODY_TRAILER:
        return take_trailer(body, c);
    case BODY_LENGTH:
    case BODY_DATA:
    case BODY_DONE:
    case BODY_BROKEN:
        break;
    }
    return 0;
}

size_t body_take(struct body *body, struct slice data, struct slice *out_piece)
{
    *out_piece = slice_of(data.data, 0);
    size_t taken = 0;
    while (taken < data.len && body->state != BODY_DONE && body->state != BODY_BROKEN) {
        if (body->state == BODY_LENGTH || body->state == BODY_DATA) {
            return taken +
                   take_data(body, slice_of(data.data + taken, data.len - taken), out_piece);
        }
        taken += take_byte(body, data.data[taken]);
    }
    return taken;
}
