/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct files {
    char dir[64];
    char private[96];
    char public[96];
};

static void ok(struct err err, const struct why *why)
{
    if (err_is(err)) {
        fail_msg("%s: %s", err_text(err), why ? why->text : "");
    }
}

static void write_keys(struct files *files, EVP_PKEY *key)
{
    snprintf(files->dir, sizeof(files->dir), "token-test-XXXXXX");
    assert_non_null(mkdtemp(files->dir));
    snprintf(files->private, sizeof(files->private), "%s/private", files->dir);
    snprintf(files->public, sizeof(files->public), "%s/public", files->dir);
    FILE *file = fopen(files->private, "w");
    assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
    file = fopen(files->public, "w");
    assert_true(PEM_write_PUBKEY(file, key));
    fclose(file);
    EVP_PKEY_free(key);
}

static void remove_keys(const struct files *files)
{
    unlink(files->private);
    unlink(files->public);
    rmdir(files->dir);
}

static struct err assign(struct auth_tokens *tokens, struct arena *arena, const char **out)
{
    return auth_token_assign(tokens,
        &(struct auth_grant){.username = "alice",
            .prefix = "abcdefghijklmnop",
            .index = 42,
            .revision = 7,
            .now_ms = 1000,
            .unix_s = 1700000000},
        arena, out);
}

static struct err who(
    struct auth_tokens *tokens, const char *token, int64_t later_s, struct auth_caller *out)
{
    static struct arena *arena;
    arena_free(arena);
    arena = arena_new(0);
    return auth_token_caller(tokens, token,
        &(struct auth_now){9, 1000 + later_s * 1000, 1700000000 + later_s}, arena, out);
}

static void test_simple_tokens_live_while_they_are_used(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct auth_tokens *tokens;
    struct auth_caller out = {0};
    const char *token;
    uint64_t index;
    ok(auth_tokens_new("simple", 10, &tokens, NULL), NULL);
    assert_true(auth_tokens_are_simple(tokens));
    ok(assign(tokens, arena, &token), NULL);
    assert_string_equal(token, "abcdefghijklmnop.42");
    assert_true(auth_token_index(tokens, token, &index));
    assert_int_equal(index, 42);
    ok(who(tokens, token, 9, &out), NULL);
    assert_string_equal(out.username, "alice");
    assert_int_equal(out.revision, 9);
    ok(who(tokens, token, 18, &out), NULL);
    assert_true(IS(who(tokens, token, 29, &out), INVALID_AUTH_TOKEN));
    auth_tokens_expire(tokens, 100000);
    assert_true(IS(who(tokens, token, 18, &out), INVALID_AUTH_TOKEN));
    auth_tokens_free(tokens);
    arena_free(arena);
}

static void test_simple_tokens_are_forgotten_with_their_user(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct auth_tokens *tokens;
    struct auth_caller out = {0};
    const char *token;
    ok(auth_tokens_new("simple", 0, &tokens, NULL), NULL);
    ok(assign(tokens, arena, &token), NULL);
    auth_tokens_forget(tokens, "bob");
    ok(who(tokens, token, 299, &out), NULL); /* etcd's 300 seconds */
    auth_tokens_forget(tokens, "alice");
    assert_true(IS(who(tokens, token, 1, &out), INVALID_AUTH_TOKEN));
    auth_tokens_free(tokens);
    arena_free(arena);
}

static void test_what_is_no_simple_token_is_refused(void **state)
{
    static const char *const bad[] = {"", ".", "a", "a.", "a.b", "a.1.2", "a.-1", "a. 1",
        "a.99999999999999999999", "abcdefghijklmnop.43"};
    (void)state;
    struct arena *arena = arena_new(0);
    struct auth_tokens *tokens;
    struct auth_caller out = {0};
    const char *token;
    ok(auth_tokens_new("simple", 0, &tokens, NULL), NULL);
    ok(assign(tokens, arena, &token), NULL);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_true(IS(who(tokens, bad[i], 1, &out), INVALID_AUTH_TOKEN));
    }
    auth_tokens_free(tokens);
    arena_free(arena);
}

static void test_prefixes_are_sixteen_letters(void **state)
{
    (void)state;
    struct auth_tokens *tokens;
    char a[AUTH_PREFIX_SIZE];
    char b[AUTH_PREFIX_SIZE];
    ok(auth_tokens_new("simple", 0, &tokens, NULL), NULL);
    auth_token_prefix(tokens, a);
    auth_token_prefix(tokens, b);
    assert_int_equal(strlen(a), 16);
    assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), strlen(a));
    assert_string_not_equal(a, b);
    auth_tokens_free(tokens);
}

/* Signed, read back, refused when touched or too old, refused by another key. */
static void walk_jwt(const char *method, const struct files *files)
{
    struct arena *arena = arena_new(0);
    struct auth_tokens *tokens;
    struct auth_caller out = {0};
    struct why why = {""};
    const char *token;
    char *spec = mem_printf(
        "jwt,sign-method=%s,priv-key=%s,pub-key=%s,ttl=10s", method, files->private, files->public);
    ok(auth_tokens_new(spec, 0, &tokens, &why), &why);
    ok(assign(tokens, arena, &token), NULL);
    ok(who(tokens, token, 9, &out), NULL);
    assert_string_equal(out.username, "alice");
    assert_int_equal(out.revision, 7);
    assert_true(IS(who(tokens, token, 10, &out), INVALID_AUTH_TOKEN));
    size_t len = strlen(token);
    for (size_t at = 0; at + 1 < len; at += 3) { /* the last letter has bits that mean nothing */
        char *touched = mem_strdup(token);
        touched[at] = touched[at] == 'A' ? 'B' : 'A';
        assert_true(IS(who(tokens, touched, 1, &out), INVALID_AUTH_TOKEN));
        free(touched);
    }
    auth_tokens_free(tokens);
    free(spec);
    arena_free(arena);
}

static void test_rsa_tokens(void **state)
{
    static const char *const names[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"};
    (void)state;
    struct files files;
    write_keys(&files, EVP_RSA_gen(2048));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        walk_jwt(names[i], &files);
    }
    remove_keys(&files);
}

static void test_ecdsa_tokens(void **state)
{
    static const char *const names[][2] = {
        {"ES256", "P-256"}, {"ES384", "P-384"}, {"ES512", "P-521"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct files files;
        write_keys(&files, EVP_EC_gen(names[i][1]));
        walk_jwt(names[i][0], &files);
        remove_keys(&files);
    }
}

static void test_eddsa_tokens(void **state)
{
    (void)state;
    struct files files;
    write_keys(&files, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    walk_jwt("EdDSA", &files);
    remove_keys(&files);
}

static void test_hmac_tokens(void **state)
{
    (void)state;
    struct files files;
    write_keys(&files, EVP_EC_gen("P-256")); /* any bytes are a secret */
    walk_jwt("HS256", &files);
    walk_jwt("HS512", &files);
    remove_keys(&files);
}

/* The public key is no secret: a token that says HS256 must not be checked with it. */
static void test_a_token_does_not_choose_its_method(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct auth_tokens *rsa;
    struct auth_tokens *hmac;
    struct auth_caller out = {0};
    struct files files;
    const char *token;
    write_keys(&files, EVP_RSA_gen(2048));
    char *spec = mem_printf("jwt,sign-method=RS256,pub-key=%s", files.public);
    char *forged = mem_printf("jwt,sign-method=HS256,priv-key=%s", files.public);
    ok(auth_tokens_new(spec, 0, &rsa, NULL), NULL);
    ok(auth_tokens_new(forged, 0, &hmac, NULL), NULL);
    ok(assign(hmac, arena, &token), NULL);
    assert_true(IS(who(rsa, token, 1, &out), INVALID_AUTH_TOKEN));
    assert_true(
        IS(who(rsa, "eyJhbGciOiJub25lIn0.eyJ1c2VybmFtZSI6InJvb3QiLCJyZXZpc2lvbiI6MX0.", 1, &out),
            INVALID_AUTH_TOKEN));
    assert_true(IS(assign(rsa, arena, &token), VERIFY_ONLY));
    auth_tokens_free(rsa);
    auth_tokens_free(hmac);
    free(spec);
    free(forged);
    remove_keys(&files);
    arena_free(arena);
}

/* Signed by who has the secret, with a name of so many letters. */
static struct err send_long(struct auth_tokens *tokens, const char *secret, size_t letters)
{
    struct buf claims;
    struct buf token;
    struct auth_caller out = {0};
    uint8_t signature[EVP_MAX_MD_SIZE];
    unsigned len = sizeof(signature);
    buf_init(&claims, SIZE_MAX);
    buf_init(&token, SIZE_MAX);
    buf_add_str(&claims, "{\"revision\":7,\"username\":\"");
    for (size_t i = 0; i < letters; i++) {
        buf_add_byte(&claims, 'n');
    }
    buf_add_str(&claims, "\"}");
    base64_add_url(&token, SLICE("{\"alg\":\"HS256\"}"));
    buf_add_byte(&token, '.');
    base64_add_url(&token, buf_slice(&claims));
    assert_non_null(
        HMAC(EVP_sha256(), secret, (int)strlen(secret), token.data, token.len, signature, &len));
    buf_add_byte(&token, '.');
    base64_add_url(&token, slice_of(signature, len));
    struct err err = who(tokens, buf_text(&token), 1, &out);
    buf_fini(&claims);
    buf_fini(&token);
    return err;
}

static void test_tokens_are_bounded(void **state)
{
    static const char secret[] = "secret";
    (void)state;
    struct auth_tokens *tokens;
    struct files files;
    write_keys(&files, EVP_EC_gen("P-256"));
    FILE *file = fopen(files.private, "w");
    assert_non_null(file);
    fputs(secret, file);
    fclose(file);
    char *spec = mem_printf("jwt,sign-method=HS256,priv-key=%s", files.private);
    ok(auth_tokens_new(spec, 0, &tokens, NULL), NULL);
    ok(send_long(tokens, secret, 12000), NULL);
    assert_true(IS(send_long(tokens, secret, 12300), INVALID_AUTH_TOKEN)); /* over 16 KiB */
    auth_tokens_free(tokens);
    free(spec);
    remove_keys(&files);
}

static void refuse(const char *spec)
{
    struct auth_tokens *tokens;
    struct why why = {""};
    assert_true(err_is(auth_tokens_new(spec, 0, &tokens, &why)));
    assert_true(why.text[0] != '\0');
}

static void test_bad_specs_are_refused_with_words(void **state)
{
    (void)state;
    struct files rsa;
    struct files other;
    write_keys(&rsa, EVP_RSA_gen(2048));
    write_keys(&other, EVP_RSA_gen(2048));
    char *unfit = mem_printf("jwt,sign-method=ES256,priv-key=%s", rsa.private);
    char *pair =
        mem_printf("jwt,sign-method=RS256,priv-key=%s,pub-key=%s", rsa.private, other.public);
    char *twice = mem_printf("jwt,sign-method=RS256,priv-key=%s,priv-key=x", rsa.private);
    char *ttl = mem_printf("jwt,sign-method=RS256,ttl=soon,priv-key=%s", rsa.private);
    char *swapped = mem_printf("jwt,sign-method=RS256,priv-key=%s", rsa.public);
    refuse("");
    refuse("complex");
    refuse("jwt");
    refuse("jwt,sign-method");
    refuse("jwt,sign-method=RS256");
    refuse("jwt,sign-method=none,priv-key=x");
    refuse("jwt,sign-method=RS256,priv-key=/nowhere/at/all");
    refuse(unfit);
    refuse(pair);
    refuse(twice);
    refuse(ttl);
    refuse(swapped);
    free(unfit);
    free(pair);
    free(twice);
    free(ttl);
    free(swapped);
    remove_keys(&rsa);
    remove_keys(&other);
}

static void test_passwords_are_bcrypt(void **state)
{
    (void)state;
    const uint8_t salt[AUTH_SALT_BYTES] = {1, 2, 3};
    char hash[AUTH_HASH_SIZE];
    char too_long[80];
    ok(auth_password_hash("letmein", 4, salt, hash), NULL);
    assert_memory_equal(hash, "$2a$04$", 7);
    assert_int_equal(strlen(hash), 60);
    assert_true(auth_password_matches(hash, "letmein"));
    assert_false(auth_password_matches(hash, "letmeout"));
    /* made by htpasswd */
    assert_true(auth_password_matches(
        "$2y$04$TDXfJOVszIRI6SLVTe.QMeh/gzwLUZyywHtaUW8qdt.jPaQuqU3W.", "letmein"));
    assert_false(auth_password_matches("", ""));
    assert_false(auth_password_matches("letmein", "letmein"));
    memset(too_long, 'a', sizeof(too_long));
    too_long[79] = '\0';
    assert_true(IS(auth_password_hash(too_long, 4, salt, hash), PASSWORD_TOO_LONG));
    assert_true(IS(auth_password_hash("x", 3, salt, hash), BAD_INPUT));
    assert_true(IS(auth_password_hash("x", 32, salt, hash), BAD_INPUT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple_tokens_live_while_they_are_used),
        cmocka_unit_test(test_simple_tokens_are_forgotten_with_their_user),
        cmocka_unit_test(test_what_is_no_simple_token_is_refused),
        cmocka_unit_test(test_prefixes_are_sixteen_letters),
        cmocka_unit_test(test_rsa_tokens),
        cmocka_unit_test(test_ecdsa_tokens),
        cmocka_unit_test(test_eddsa_tokens),
        cmocka_unit_test(test_hmac_tokens),
        cmocka_unit_test(test_a_token_does_not_choose_its_method),
        cmocka_unit_test(test_tokens_are_bounded),
        cmocka_unit_test(test_bad_specs_are_refused_with_words),
        cmocka_unit_test(test_passwords_are_bcrypt),
    };
    return cmocka_run_group_tests_name("auth_token", tests, NULL, NULL);
}
