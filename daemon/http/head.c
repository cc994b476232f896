/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include "base/mem.h"
#include "http/http.h"
#include "http/uri.h"

#include <strings.h>

void head_reader_init(struct head_reader *reader, size_t bytes_max)
{
    buf_init(&reader->bytes, bytes_max);
    reader->line = 0;
}

void head_reader_fini(struct head_reader *reader)
{
    buf_fini(&reader->bytes);
    reader->line = 0;
}

static bool is_blank_line(const struct head_reader *reader)
{
    size_t len = reader->bytes.len - reader->line;
    return len == 1 || (len == 2 && reader->bytes.data[reader->line] == '\r');
}

enum head_state head_read(struct head_reader *reader, struct slice data, size_t *out_taken)
{
    size_t taken = 0;
    while (taken < data.len) {
        const uint8_t *start = data.data + taken;
        const uint8_t *feed = memchr(start, '\n', data.len - taken);
        size_t len = feed ? (size_t)(feed - start) + 1 : data.len - taken;
        buf_add(&reader->bytes, start, len);
        taken += len;
        if (reader->bytes.is_full) {
            return HEAD_TOO_BIG;
        }
        if (feed && is_blank_line(reader)) {
            *out_taken = taken;
            return HEAD_WHOLE;
        }
        if (feed) {
            reader->line = reader->bytes.len;
        }
    }
    *out_taken = taken;
    return HEAD_MORE;
}

static bool refuse(struct head_refusal *out, int status, const char *detail)
{
    *out = (struct head_refusal){status, detail};
    return false;
}

static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) {
            return false;
        }
    }
    return text.len > 0;
}

static bool name_is(struct slice name, const char *want)
{
    return name.len == strlen(want) && strncasecmp((const char *)name.data, want, name.len) == 0;
}

bool http_list_next(struct slice *rest, char separator, struct slice *out_part)
{
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest->data, separator, rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *out_part = slice_trim(slice_of(rest->data, len));
    len += end ? 1 : 0;
    *rest = slice_of(rest->data + len, rest->len - len);
    return true;
}

bool http_list_has(struct slice list, const char *token)
{
    struct slice part;
    while (http_list_next(&list, ',', &part)) {
        if (name_is(part, token)) {
            return true;
        }
    }
    return false;
}

bool head_has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

struct slice head_field_get(const struct head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (name_is(head->fields[i].name, name)) {
            return head->fields[i].value;
        }
    }
    return (struct slice){0};
}

/* Takes one line without its end. False when there is none left. */
static bool line_next(struct slice *rest, struct slice *out_line)
{
    const uint8_t *feed = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    if (!feed) {
        return false;
    }
    size_t len = (size_t)(feed - rest->data);
    *out_line = slice_of(rest->data, len && feed[-1] == '\r' ? len - 1 : len);
    *rest = slice_of(feed + 1, rest->len - len - 1);
    return true;
}

/* Up to the next space, which is skipped; the last word has none behind it. */
static struct slice word_next(struct slice *rest)
{
    const uint8_t *space = rest->len ? memchr(rest->data, ' ', rest->len) : NULL;
    size_t len = space ? (size_t)(space - rest->data) : rest->len;
    struct slice word = slice_of(rest->data, len);
    len += space ? 1 : 0;
    *rest = slice_of(rest->data + len, rest->len - len);
    return word;
}

static bool parse_version(struct slice version, struct head *head, struct head_refusal *out)
{
    if (version.len != 8 || memcmp(version.data, "HTTP/", 5) != 0 || version.data[6] != '.' ||
        version.data[5] < '0' || version.data[5] > '9' || version.data[7] < '0' ||
        version.data[7] > '9') {
        return refuse(out, 400, NULL);
    }
    if (version.data[5] != '1') {
        return refuse(out, 505, "unsupported protocol version");
    }
    head->minor = (unsigned)(version.data[7] - '0');
    return true;
}

/* "/path?query", "http://authority/path?query" or, for OPTIONS, "*". */
static bool parse_target(struct slice target, struct head *head, struct head_refusal *out)
{
    struct uri uri;
    if (slice_eq(target, SLICE("*")) && slice_eq(head->method, SLICE("OPTIONS"))) {
        uri = (struct uri){.path = target};
    } else if (!uri_split(target, &uri)) {
        return refuse(out, 400, NULL);
    }
    struct buf path;
    buf_init(&path, target.len + 1);
    if (!uri_decode(uri.path, false, &path)) {
        buf_fini(&path);
        return refuse(out, 400, NULL);
    }
    buf_text(&path);
    head->path_bytes = (char *)buf_take(&path, &head->path_len);
    head->path_raw = uri.path;
    head->query = uri.query;
    head->host = uri.authority;
    return true;
}

static bool parse_request_line(struct slice line, struct head *head, struct head_refusal *out)
{
    head->method = word_next(&line);
    struct slice target = word_next(&line);
    if (!is_token(head->method) || target.len == 0) {
        return refuse(out, 400, NULL);
    }
    return parse_version(line, head, out) && parse_target(target, head, out);
}

static bool parse_field(struct slice line, struct head *head, struct head_refusal *out)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);
    if (!colon) {
        return refuse(out, 400, NULL);
    }
    struct head_field field;
    field.name = slice_of(line.data, (size_t)(colon - line.data));
    field.value = slice_trim(slice_of(colon + 1, line.len - field.name.len - 1));
    if (!is_token(field.name)) {
        bool ends_in_space = field.name.len && field.name.data[field.name.len - 1] == ' ';
        return refuse(out, 400, ends_in_space ? "invalid header name" : NULL);
    }
    for (size_t i = 0; i < field.value.len; i++) {
        uint8_t c = field.value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return refuse(out, 400, NULL);
        }
    }
    head->fields[head->field_count++] = field;
    return true;
}

static bool parse_fields(
    struct slice rest, size_t field_count_max, struct head *head, struct head_refusal *out)
{
    struct slice line;
    size_t cap = 0;
    while (line_next(&rest, &line) && line.len) {
        if (head->field_count == field_count_max) {
            return refuse(out, 431, NULL);
        }
        if (head->field_count == cap) {
            cap = cap ? cap * 2 : 16;
            head->fields = mem_grow(head->fields, cap * sizeof(*head->fields));
        }
        if (!parse_field(line, head, out)) {
            return false;
        }
    }
    return true;
}

static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alnum && (c == 0 || !strchr("!$%&'()*+,-.:;=[]_~", c))) {
            return false;
        }
    }
    return true;
}

static bool check_host(struct head *head, struct head_refusal *out)
{
    struct slice host = {0};
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (name_is(head->fields[i].name, "Host")) {
            host = head->fields[i].value;
            count++;
        }
    }
    if (count == 0 && head->minor > 0) {
        return refuse(out, 400, "missing required Host header");
    }
    if (count > 1) {
        return refuse(out, 400, NULL);
    }
    head->host = head->host.len ? head->host : host;
    return is_host(host) && is_host(head->host) ? true : refuse(out, 400, "malformed Host header");
}

static bool parse_length(struct slice text, struct head *head, struct head_refusal *out)
{
    int64_t length = 0;
    if (text.len == 0 || text.len > 18) {
        return refuse(out, 400, NULL);
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return refuse(out, 400, NULL);
        }
        length = length * 10 + (text.data[i] - '0');
    }
    if (head->content_length >= 0 && head->content_length != length) {
        return refuse(out, 400, NULL);
    }
    head->content_length = length;
    return true;
}

/* How long the body is. Two answers to that in one request are how requests are smuggled past
 * proxies: refused. */
static bool check_framing(struct head *head, struct head_refusal *out)
{
    size_t codings = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        const struct head_field *field = &head->fields[i];
        if (name_is(field->name, "Content-Length") && !parse_length(field->value, head, out)) {
            return false;
        }
        if (name_is(field->name, "Transfer-Encoding")) {
            head->is_chunked = name_is(field->value, "chunked");
            if (!head->is_chunked || ++codings > 1) {
                return refuse(out, 501, "Unsupported transfer encoding");
            }
        }
    }
    if (head->is_chunked && (head->content_length >= 0 || head->minor == 0)) {
        return refuse(out, 400, NULL);
    }
    return true;
}

static bool check_connection(struct head *head, struct head_refusal *out)
{
    bool closes = false;
    bool stays = head->minor > 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (name_is(head->fields[i].name, "Connection")) {
            closes = closes || http_list_has(head->fields[i].value, "close");
            stays = stays || http_list_has(head->fields[i].value, "keep-alive");
        }
    }
    head->is_keep_alive = stays && !closes;
    struct slice expect = head_field_get(head, "Expect");
    if (expect.len && !name_is(expect, "100-continue")) {
        return refuse(out, 417, NULL);
    }
    head->expects_continue = expect.len > 0 && head->minor > 0;
    return true;
}

bool head_parse(struct slice bytes, size_t field_count_max, struct head *out_head,
    struct head_refusal *out_refusal)
{
    struct head head = {.content_length = -1};
    struct slice line;
    bool is_good = line_next(&bytes, &line) ? parse_request_line(line, &head, out_refusal)
                                            : refuse(out_refusal, 400, NULL);
    is_good = is_good && parse_fields(bytes, field_count_max, &head, out_refusal) &&
              check_host(&head, out_refusal) && check_framing(&head, out_refusal) &&
              check_connection(&head, out_refusal);
    if (!is_good) {
        head_fini(&head);
        return false;
    }
    *out_head = head;
    return true;
}

/* "HTTP/1.1 200 OK". */
static bool parse_status_line(
    struct slice line, struct head *head, int *out_status, struct head_refusal *out)
{
    if (!parse_version(word_next(&line), head, out)) {
        return false;
    }
    struct slice code = word_next(&line);
    int status = 0;
    for (size_t i = 0; i < code.len && i < 3; i++) {
        bool is_digit = code.data[i] >= '0' && code.data[i] <= '9';
        status = is_digit && status >= 0 ? status * 10 + (code.data[i] - '0') : -1;
    }
    if (code.len != 3 || status < 100) {
        return refuse(out, 400, NULL);
    }
    *out_status = status;
    return true;
}

bool head_parse_answer(
    struct slice bytes, size_t field_count_max, struct head *out_head, int *out_status)
{
    struct head head = {.content_length = -1};
    struct head_refusal refusal;
    struct slice line;
    bool is_good = line_next(&bytes, &line) &&
                   parse_status_line(line, &head, out_status, &refusal) &&
                   parse_fields(bytes, field_count_max, &head, &refusal) &&
                   check_framing(&head, &refusal) && check_connection(&head, &refusal);
    if (!is_good) {
        head_fini(&head);
        return false;
    }
    *out_head = head;
    return true;
}

void head_fini(struct head *head)
{
    free(head->fields);
    free(head->path_bytes);
    *head = (struct head){0};
}
