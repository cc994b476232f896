/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies in a key folder, read once, and what is wrong with it.
 */
#ifndef PKI_INSPECT_H
#define PKI_INSPECT_H

#include "pki/names.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <time.h>

#define PKI_PAIRS_MAX 8
#define PKI_FINDINGS_MAX 64

enum pki_fault {
    PKI_FAULT_HALF,     /* one file of the pair is missing */
    PKI_FAULT_UNUSABLE, /* cannot be read, or is no PEM */
    PKI_FAULT_MISMATCH, /* the key is another certificate's */
    PKI_FAULT_CHAIN,    /* the CA did not sign it, or is none */
    PKI_FAULT_EXPIRED,  /* or not valid yet */
    PKI_FAULT_SOON,
    PKI_FAULT_USES,
    PKI_FAULT_NAMES,
    PKI_FAULT_MODE,
};

struct pki_pair {
    const struct pki_kind *kind;
    char *cert_path;
    char *key_path;
    bool has_cert; /* the file is there, readable or not */
    bool has_key;
    X509 *cert; /* NULL: absent or unusable, then cert_why says so */
    EVP_PKEY *key;
    mode_t cert_mode;
    mode_t key_mode;
    struct why cert_why;
    struct why key_why;
};

struct pki_finding {
    enum pki_fault fault;
    size_t pair;
    char path[300];
    char text[400];
};

struct pki_folder {
    const char *dir;
    struct pki_pair pairs[PKI_PAIRS_MAX]; /* one a kind; the CA is the first */
    size_t pairs_count;
    struct pki_finding findings[PKI_FINDINGS_MAX];
    size_t findings_count;
};

/* Reads all pairs; what cannot be read is kept as the pair's why. Borrows dir. Errors: ABSENT,
 * BAD_INPUT (not a folder). Call pki_folder_fini in any case. */
MUST struct err pki_folder_read(const char *dir, struct pki_folder *out_folder, struct why *why);
void pki_folder_fini(struct pki_folder *folder);

/* Fills the findings, in the order of the pairs. Names are held against --name and --san where
 * they were given. Errors: BAD_INPUT. */
MUST struct err pki_folder_check(
    struct pki_folder *folder, const struct pki_options *options, struct why *why);

/* The certificate's common name, or "". */
void pki_cert_cn(const X509 *cert, char *out_text, size_t size);
/* Its SANs, as many as fit. */
void pki_cert_names(X509 *cert, struct pki_names *out_names);
time_t pki_time(const ASN1_TIME *time);

#endif
