/* SPDX-License-Identifier: Apache-2.0
 *
 * A context from bytes already read, so that what was looked at is what is used. Private to
 * base/tls.
 */
#ifndef BASE_TLS_CONTEXT_H
#define BASE_TLS_CONTEXT_H

#include "base/buf.h"
#include "base/tls.h"

/* The files' bytes as read. */
struct tls_material {
    struct buf cert;
    struct buf key;
    struct buf ca;
};

void tls_material_init(struct tls_material *material);
/* Wipes the key. */
void tls_material_fini(struct tls_material *material);
/* Errors: BAD_TLS (half a pair), ABSENT, DENIED, IO. */
MUST struct err tls_material_read(
    struct tls_material *material, const struct tls_options *options, struct why *why);
/* Gives. Errors: BAD_TLS. */
MUST struct err tls_context_make(const struct tls_material *material,
    const struct tls_options *options, enum tls_role role, SSL_CTX **out_context, struct why *why);

#endif
