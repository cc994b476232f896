/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates of a cluster in kubeadm's layout: one CA and the pairs that members and their
 * clients carry. Issues what is missing, says what is there, finds what is wrong. One thread; may
 * block on the disk and on random numbers.
 */
#ifndef PKI_PKI_H
#define PKI_PKI_H

#include "base/err.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define PKI_SANS_MAX 64
#define PKI_DAYS_MAX 36500

enum pki_output { PKI_OUTPUT_PLAIN, PKI_OUTPUT_TABLE, PKI_OUTPUT_JSON };

struct pki_options {
    const char *dir;
    const char *name; /* of the node; NULL: the host's */
    const char *sans[PKI_SANS_MAX];
    size_t sans_count;
    int days;             /* a pair's life; never longer than the CA's */
    int ca_days;          /* a new CA's life */
    int soon_days;        /* verify: what expires within these is a finding */
    const char *key_type; /* "rsa:2048", "rsa:3072", "rsa:4096", "ecdsa:p256", "ecdsa:p384" */
    const char *owner;    /* "user" or "user:group" for new files; NULL: whoever runs */
    bool force;           /* issue every pair anew, under the CA that is there */
    bool new_ca;          /* as force, and a new CA too */
    enum pki_output output;
};

/* kubeadm's values: a year for pairs, ten for the CA, rsa:2048. */
void pki_options_init(struct pki_options *options);

/* Looks at all that exists first and refuses before the first write; then issues what is missing
 * and says each file on out. Errors: EXISTS (half a pair, or what is there does not fit together),
 * BAD_INPUT (a name, a number, a key type), BAD_TLS, DENIED, NO_DISK, IO. */
MUST struct err pki_init(const struct pki_options *options, FILE *out, struct why *why);

/* Says on out what is in the folder. Errors: ABSENT (no such folder), BAD_INPUT. */
MUST struct err pki_show(const struct pki_options *options, FILE *out, struct why *why);

/* Says on out what is wrong in the folder; *out_is_sound is false when anything is. */
MUST struct err pki_verify(
    const struct pki_options *options, FILE *out, bool *out_is_sound, struct why *why);

#endif
