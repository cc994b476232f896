/* SPDX-License-Identifier: Apache-2.0
 *
 * bcrypt through libxcrypt. Go's library writes "$2a$" and refuses passwords of more than 72 bytes,
 * which bcrypt would cut off.
 */
#include "auth/auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <string.h>

enum { PASSWORD_BYTES_MAX = 72 };

bool auth_password_matches(const char *hash, const char *password)
{
    struct crypt_data *data = calloc(1, sizeof(*data));
    bool matches = false;
    check(data);
    if (strncmp(hash, "$2", 2) == 0) {
        const char *made = crypt_r(password, hash, data);
        size_t len = strlen(hash);
        matches = made && strlen(made) == len && CRYPTO_memcmp(made, hash, len) == 0;
    }
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return matches;
}

struct err auth_password_hash(const char *password, unsigned cost,
    const uint8_t salt[AUTH_SALT_BYTES], char out[AUTH_HASH_SIZE])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data;
    if (strlen(password) > PASSWORD_BYTES_MAX) {
        return ERR(PASSWORD_TOO_LONG);
    }
    if (cost < AUTH_COST_MIN || cost > AUTH_COST_MAX) {
        return ERR(BAD_INPUT);
    }
    check(crypt_gensalt_rn(
        "$2a$", cost, (const char *)salt, AUTH_SALT_BYTES, setting, sizeof(setting)));
    data = calloc(1, sizeof(*data));
    check(data);
    const char *made = crypt_r(password, setting, data);
    bool is_made = made && made[0] == '$' && strlen(made) < AUTH_HASH_SIZE;
    if (is_made) {
        memcpy(out, made, strlen(made) + 1);
    }
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return is_made ? OK : ERR(BAD_INPUT);
}
