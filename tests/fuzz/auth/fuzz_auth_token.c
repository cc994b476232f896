/* SPDX-License-Identifier: Apache-2.0
 * A token from a client, any bytes: never somebody's, since nobody was given one; as JWT with a
 * secret the fuzzer does not know, and as a simple token. */
#include "auth/auth.h"
#include "base/mem.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct auth_tokens *open_tokens(const char *spec)
{
    struct auth_tokens *tokens = NULL;
    check(!err_is(auth_tokens_new(spec, 0, &tokens, NULL)));
    return tokens;
}

static struct auth_tokens *open_jwt(void)
{
    char path[] = "/tmp/fuzz-auth-XXXXXX";
    int fd = mkstemp(path);
    check(fd >= 0 && write(fd, "a secret of this test", 21) == 21);
    close(fd);
    char *spec = mem_printf("jwt,sign-method=HS256,priv-key=%s", path);
    struct auth_tokens *tokens = open_tokens(spec);
    unlink(path);
    free(spec);
    return tokens;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_tokens *jwt;
    static struct auth_tokens *simple;
    const struct auth_now now = {1, 1000, 1000};
    struct auth_caller caller;
    jwt = jwt ? jwt : open_jwt();
    simple = simple ? simple : open_tokens("simple");
    struct arena *arena = arena_new(0);
    const char *token = (const char *)arena_dup(arena, slice_of(data, size)).data;
    check(err_is(auth_token_caller(jwt, token, &now, arena, &caller)));
    check(err_is(auth_token_caller(simple, token, &now, arena, &caller)));
    arena_free(arena);
    return 0;
}
