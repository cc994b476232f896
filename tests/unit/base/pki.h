/* SPDX-License-Identifier: Apache-2.0
 *
 * Throw-away certificates for tests: a folder of its own, made and removed with the test.
 */
#ifndef TESTS_PKI_H
#define TESTS_PKI_H

#include <openssl/x509.h>

struct pki {
    char dir[64];
    EVP_PKEY *ca_key;
    X509 *ca; /* in ca.crt */
};

struct pki_spec {
    const char *name; /* files: <name>.crt, <name>.key */
    const char *cn;   /* NULL: no common name */
    const char *cn_2; /* another; NULL: none */
    const char *sans; /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    long serial;
    long from_s; /* validity from now on, in seconds; both 0: an hour around now */
    long until_s;
    int is_self_signed;
};

void pki_init(struct pki *pki);
void pki_fini(struct pki *pki);
/* Writes certificate and key. */
void pki_make(struct pki *pki, const struct pki_spec *spec);
/* Writes a CRL over one serial number; is_der or PEM. */
void pki_make_crl(struct pki *pki, const char *file, long serial, int is_der);
/* The path of a file in the folder; one of eight buffers. */
const char *pki_path(struct pki *pki, const char *file);
void pki_write(struct pki *pki, const char *file, const char *text);

#endif
