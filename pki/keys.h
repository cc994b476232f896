/* SPDX-License-Identifier: Apache-2.0
 *
 * A private key and its certificate: made, read from and written to PEM.
 */
#ifndef PKI_KEYS_H
#define PKI_KEYS_H

#include "pki/files.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* Errors: BAD_INPUT (unknown type). Does no work. */
MUST struct err pki_key_type_check(const char *type, struct why *why);
/* Gives. Errors: BAD_INPUT, BAD_TLS. */
MUST struct err pki_key_new(const char *type, EVP_PKEY **out_key, struct why *why);

/* Gives the key and the file's mode. Errors: ABSENT, BAD_TLS (not an unencrypted PEM key). */
MUST struct err pki_key_read(
    const char *path, EVP_PKEY **out_key, mode_t *out_mode, struct why *why);
/* Gives the file's first certificate. Errors: ABSENT, BAD_TLS. */
MUST struct err pki_cert_read(const char *path, X509 **out_cert, mode_t *out_mode, struct why *why);

/* PKCS #8, mode 0600. */
MUST struct err pki_key_write(
    const char *path, EVP_PKEY *key, struct pki_owner owner, struct why *why);
/* Mode 0644. */
MUST struct err pki_cert_write(
    const char *path, X509 *cert, struct pki_owner owner, struct why *why);

/* OpenSSL's last complaint, or "unknown error"; empties its queue. Static per thread. */
const char *pki_openssl_text(void);

#endif
