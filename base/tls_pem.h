/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates, keys and CA bundles read from files, with errors that name the file. Private to
 * base/tls.
 */
#ifndef BASE_TLS_PEM_H
#define BASE_TLS_PEM_H

#include "base/buf.h"
#include "base/err.h"

#include <openssl/ssl.h>

enum { TLS_FILE_BYTES_MAX = 4 << 20 };

/* Appends the file's bytes. Errors: ABSENT, DENIED, IO, TOO_BIG. */
MUST struct err tls_read_file(const char *path, struct buf *out, struct why *why);
/* Every certificate of PEM bytes, at least one. Gives. Errors: BAD_TLS; path is for the text. */
MUST struct err tls_parse_certs(
    struct slice pem, const char *path, STACK_OF(X509) * *out_certs, struct why *why);
/* Gives. Errors: BAD_TLS. */
MUST struct err tls_parse_key(
    struct slice pem, const char *path, EVP_PKEY **out_key, struct why *why);
/* Reads and parses. Errors: of both. */
MUST struct err tls_load_certs(const char *path, STACK_OF(X509) * *out_certs, struct why *why);

void tls_certs_free(STACK_OF(X509) * certs);

static inline bool tls_is_given(const char *path)
{
    return path && path[0];
}

#endif
