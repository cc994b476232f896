/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON web tokens, signed and checked with OpenSSL: HS, RS, PS and ES with 256, 384 and 512 bits,
 * and EdDSA. Claims as etcd has them: {"exp":…,"revision":…,"username":…}.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "auth/auth.h"
#include "base/buf.h"

#include <openssl/evp.h>

enum jwt_family { JWT_HMAC, JWT_RSA, JWT_RSA_PSS, JWT_ECDSA, JWT_EDDSA };

struct jwt_method {
    const char *name;
    enum jwt_family family;
    const char *digest;  /* NULL: EdDSA brings its own */
    size_t number_bytes; /* ECDSA: of r and of s */
};

struct jwt {
    const struct jwt_method *method;
    EVP_PKEY *key;
    struct buf secret; /* HMAC */
    bool can_sign;
    int64_t ttl_s;
};

/* options: what stands behind "jwt,". Errors: BAD_CONFIG. */
MUST struct err jwt_open(const char *options, struct jwt **out, struct why *why);
void jwt_free(struct jwt *jwt);
/* Adds the signature of text. False when OpenSSL refuses. */
bool jwt_sign_bytes(const struct jwt *jwt, struct slice text, struct buf *out);
bool jwt_verify_bytes(const struct jwt *jwt, struct slice text, struct slice signature);

MUST struct err jwt_assign(const struct jwt *jwt, const struct auth_grant *grant,
    struct arena *arena, const char **out_token);
MUST struct err jwt_caller(const struct jwt *jwt, const char *token, int64_t unix_s,
    struct arena *arena, struct auth_caller *out);

#endif
