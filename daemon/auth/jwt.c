/* SPDX-License-Identifier: Apache-2.0
 *
 * The token's text: base64url(header) "." base64url(claims) "." base64url(signature). The header's
 * algorithm must be the configured one; nothing in a token chooses how it is checked.
 */
#include "auth/token.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"

#include <json-c/json.h>

enum { TOKEN_BYTES_MAX = 16 * 1024, PARTS = 3 };

static void add_part(struct buf *token, struct buf *part)
{
    if (token->len) {
        buf_add_byte(token, '.');
    }
    base64_add_url(token, buf_slice(part));
    buf_reset(part);
}

static void add_header(const struct jwt *jwt, struct buf *out)
{
    struct json json;
    json_init(&json, out, JSON_PLAIN);
    json_open(&json, '{');
    json_add_key(&json, "alg");
    json_add_str(&json, jwt->method->name);
    json_add_key(&json, "typ");
    json_add_str(&json, "JWT");
    json_close(&json, '}');
}

static void add_claims(const struct jwt *jwt, const struct auth_grant *grant, struct buf *out)
{
    struct json json;
    json_init(&json, out, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "exp");
    json_add_int(&json, grant->unix_s + jwt->ttl_s);
    json_add_key(&json, "revision");
    json_add_uint(&json, grant->revision);
    json_add_key(&json, "username");
    json_add_str(&json, grant->username);
    json_close(&json, '}');
}

struct err jwt_assign(const struct jwt *jwt, const struct auth_grant *grant, struct arena *arena,
    const char **out_token)
{
    struct buf token;
    struct buf part;
    if (!jwt->can_sign) {
        return ERR(VERIFY_ONLY);
    }
    buf_init(&token, TOKEN_BYTES_MAX);
    buf_init(&part, TOKEN_BYTES_MAX);
    add_header(jwt, &part);
    add_part(&token, &part);
    add_claims(jwt, grant, &part);
    add_part(&token, &part);
    bool is_signed = jwt_sign_bytes(jwt, buf_slice(&token), &part);
    add_part(&token, &part);
    is_signed = is_signed && !token.is_full && !part.is_full;
    if (is_signed) {
        *out_token = (const char *)arena_dup(arena, buf_slice(&token)).data;
    }
    buf_fini(&part);
    buf_fini(&token);
    return is_signed ? OK : ERR(INTERNAL);
}

/* base64url without padding; the lenient decoder would take more. */
static bool decode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool is_letter = (c | 32) >= 'a' && (c | 32) <= 'z';
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return base64_take(text, out);
}

static bool split(const char *token, struct slice parts[PARTS])
{
    const char *at = token;
    for (size_t i = 0; i < PARTS; i++) {
        size_t len = strcspn(at, ".");
        bool is_last = at[len] == '\0';
        parts[i] = slice_of(at, len);
        if (is_last != (i == PARTS - 1)) {
            return false;
        }
        at += len + 1;
    }
    return true;
}

/* The JSON object of a part; the caller puts it. NULL when it is none. */
static struct json_object *object_of(struct slice part)
{
    struct buf text;
    struct json_object *object = NULL;
    buf_init(&text, TOKEN_BYTES_MAX);
    if (decode(part, &text) &&
        err_is(json_parse(buf_slice(&text), TOKEN_BYTES_MAX, &object, NULL))) {
        object = NULL;
    }
    if (object && !json_object_is_type(object, json_type_object)) {
        json_object_put(object);
        object = NULL;
    }
    buf_fini(&text);
    return object;
}

static bool is_method(const struct jwt *jwt, struct slice part)
{
    struct json_object *name;
    struct json_object *header = object_of(part);
    bool is_it = header && json_object_object_get_ex(header, "alg", &name) &&
                 json_object_is_type(name, json_type_string) &&
                 strcmp(json_object_get_string(name), jwt->method->name) == 0;
    json_object_put(header);
    return is_it;
}

static bool is_number(const struct json_object *value)
{
    return json_object_is_type(value, json_type_int) ||
           json_object_is_type(value, json_type_double);
}

/* A time claim need not be there; when it is, it must be a number. */
static bool is_in_time(struct json_object *claims, int64_t unix_s)
{
    struct json_object *value;
    if (json_object_object_get_ex(claims, "exp", &value) &&
        (!is_number(value) || json_object_get_double(value) <= (double)unix_s)) {
        return false;
    }
    return !json_object_object_get_ex(claims, "nbf", &value) ||
           (is_number(value) && json_object_get_double(value) <= (double)unix_s);
}

static bool read_claims(
    struct json_object *claims, int64_t unix_s, struct arena *arena, struct auth_caller *out)
{
    struct json_object *name;
    struct json_object *revision;
    if (!is_in_time(claims, unix_s) || !json_object_object_get_ex(claims, "username", &name) ||
        !json_object_is_type(name, json_type_string) ||
        !json_object_object_get_ex(claims, "revision", &revision) || !is_number(revision)) {
        return false;
    }
    double number = json_object_get_double(revision);
    if (!(number >= 0 && number < 9007199254740992.0)) {
        return false;
    }
    *out =
        (struct auth_caller){arena_strdup(arena, json_object_get_string(name)), (uint64_t)number};
    return true;
}

struct err jwt_caller(const struct jwt *jwt, const char *token, int64_t unix_s, struct arena *arena,
    struct auth_caller *out)
{
    struct slice parts[PARTS];
    struct buf signature;
    if (strlen(token) > TOKEN_BYTES_MAX || !split(token, parts) || !is_method(jwt, parts[0])) {
        return ERR(INVALID_AUTH_TOKEN);
    }
    struct slice text = slice_of(token, parts[0].len + 1 + parts[1].len);
    buf_init(&signature, TOKEN_BYTES_MAX);
    bool is_good =
        decode(parts[2], &signature) && jwt_verify_bytes(jwt, text, buf_slice(&signature));
    buf_fini(&signature);
    struct json_object *claims = is_good ? object_of(parts[1]) : NULL;
    is_good = claims && read_claims(claims, unix_s, arena, out);
    json_object_put(claims);
    return is_good ? OK : ERR(INVALID_AUTH_TOKEN);
}
