/* SPDX-License-Identifier: Apache-2.0
 *
 * Simple tokens: "PREFIX.INDEX", remembered here and on every other member that applied the same
 * Authenticate entry. Each use makes it live on.
 */
#include "auth/token.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/text.h"

#include <errno.h>
#include <pthread.h>

enum { TTL_DEFAULT_S = 300, LETTERS = 52 };

struct simple {
    char *username;
    int64_t expiry_ms;
};

struct auth_tokens {
    struct jwt *jwt; /* NULL: simple */
    pthread_mutex_t mutex;
    struct map *simple; /* token -> struct simple */
    int64_t ttl_ms;
};

struct err auth_tokens_new(
    const char *spec, int64_t ttl_s, struct auth_tokens **out, struct why *why)
{
    struct jwt *jwt = NULL;
    bool is_simple = strcmp(spec, "simple") == 0 || strncmp(spec, "simple,", 7) == 0;
    if (strcmp(spec, "jwt") == 0 || strncmp(spec, "jwt,", 4) == 0) {
        TRY(jwt_open(spec[3] ? spec + 4 : "", &jwt, why));
    } else if (!is_simple) {
        return why_set(why, ERR(BAD_CONFIG), "auth: invalid auth options");
    }
    struct auth_tokens *tokens = mem_new(sizeof(*tokens));
    tokens->jwt = jwt;
    tokens->simple = map_new();
    tokens->ttl_ms = (ttl_s > 0 ? ttl_s : TTL_DEFAULT_S) * 1000;
    pthread_mutex_init(&tokens->mutex, NULL);
    *out = tokens;
    return OK;
}

static void simple_free(struct simple *simple)
{
    if (simple) {
        free(simple->username);
        free(simple);
    }
}

/* Drops those of that user (NULL: everyone's) that end before now_ms. */
static void drop(struct auth_tokens *tokens, const char *username, int64_t now_ms)
{
    void *cursor = NULL;
    struct slice key;
    void *value;
    pthread_mutex_lock(&tokens->mutex);
    while (map_next(tokens->simple, &cursor, &key, &value)) {
        const struct simple *simple = value;
        if (simple->expiry_ms < now_ms && (!username || strcmp(simple->username, username) == 0)) {
            simple_free(map_del(tokens->simple, key));
        }
    }
    pthread_mutex_unlock(&tokens->mutex);
}

void auth_tokens_free(struct auth_tokens *tokens)
{
    if (!tokens) {
        return;
    }
    drop(tokens, NULL, INT64_MAX);
    map_free(tokens->simple);
    jwt_free(tokens->jwt);
    pthread_mutex_destroy(&tokens->mutex);
    free(tokens);
}

bool auth_tokens_are_simple(const struct auth_tokens *tokens)
{
    return tokens->jwt == NULL;
}

void auth_tokens_forget(struct auth_tokens *tokens, const char *username)
{
    drop(tokens, username, INT64_MAX);
}

void auth_tokens_expire(struct auth_tokens *tokens, int64_t now_ms)
{
    drop(tokens, NULL, now_ms);
}

void auth_token_prefix(const struct auth_tokens *tokens, char out[AUTH_PREFIX_SIZE])
{
    static const char letters[LETTERS + 1] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    enum { FAIR = 256 - 256 % LETTERS }; /* bytes above would favour the first letters */
    size_t filled = 0;
    while (!tokens->jwt && filled < AUTH_PREFIX_SIZE - 1) {
        uint8_t byte;
        rand_secret(&byte, 1);
        if (byte < FAIR) {
            out[filled++] = letters[byte % LETTERS];
        }
    }
    out[filled] = '\0';
}

struct err auth_token_assign(struct auth_tokens *tokens, const struct auth_grant *grant,
    struct arena *arena, const char **out_token)
{
    if (tokens->jwt) {
        return jwt_assign(tokens->jwt, grant, arena, out_token);
    }
    struct simple *simple = mem_new(sizeof(*simple));
    char *token = arena_printf(arena, "%s.%llu", grant->prefix, (unsigned long long)grant->index);
    simple->username = mem_strdup(grant->username);
    simple->expiry_ms = grant->now_ms + tokens->ttl_ms;
    pthread_mutex_lock(&tokens->mutex);
    simple_free(map_put(tokens->simple, slice_str(token), simple));
    pthread_mutex_unlock(&tokens->mutex);
    *out_token = token;
    return OK;
}

bool auth_token_index(const struct auth_tokens *tokens, const char *token, uint64_t *out_index)
{
    const char *dot = strchr(token, '.');
    if (tokens->jwt || !dot || strchr(dot + 1, '.') || !dot[1] ||
        strspn(dot + 1, "0123456789") != strlen(dot + 1)) {
        return false;
    }
    errno = 0;
    unsigned long long index = strtoull(dot + 1, NULL, 10);
    if (errno) {
        return false;
    }
    *out_index = index;
    return true;
}

struct err auth_token_caller(struct auth_tokens *tokens, const char *token,
    const struct auth_now *now, struct arena *arena, struct auth_caller *out)
{
    uint64_t index;
    if (tokens->jwt) {
        return jwt_caller(tokens->jwt, token, now->unix_s, arena, out);
    }
    if (!auth_token_index(tokens, token, &index)) {
        return ERR(INVALID_AUTH_TOKEN);
    }
    pthread_mutex_lock(&tokens->mutex);
    struct simple *simple = map_get(tokens->simple, slice_str(token));
    bool is_alive = simple && simple->expiry_ms >= now->now_ms;
    if (is_alive) {
        simple->expiry_ms = now->now_ms + tokens->ttl_ms;
        *out = (struct auth_caller){arena_strdup(arena, simple->username), now->revision};
    }
    pthread_mutex_unlock(&tokens->mutex);
    return is_alive ? OK : ERR(INVALID_AUTH_TOKEN);
}
