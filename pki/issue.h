/* SPDX-License-Identifier: Apache-2.0
 *
 * One certificate: X.509 v3, SHA-256, a random serial number, the extensions kubeadm gives.
 */
#ifndef PKI_ISSUE_H
#define PKI_ISSUE_H

#include "pki/names.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct pki_issue {
    const struct pki_kind *kind;
    const struct pki_names *names;
    int days;
    EVP_PKEY *key;    /* the subject's */
    X509 *ca;         /* NULL: signs itself */
    EVP_PKEY *ca_key; /* ignored without ca */
};

/* Gives. The life starts five minutes ago (clocks differ) and ends with the CA's at the latest.
 * Errors: BAD_TLS. */
MUST struct err pki_issue(const struct pki_issue *order, X509 **out_cert, struct why *why);

#endif
