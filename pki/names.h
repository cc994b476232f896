/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pairs there are (kubeadm's table) and which names a member's certificate carries.
 */
#ifndef PKI_NAMES_H
#define PKI_NAMES_H

#include "pki/pki.h"

#include <netinet/in.h>

#define PKI_NAME_MAX 64 /* X.520's bound on a common name */
#define PKI_NAMES_MAX 256

enum pki_use { PKI_USE_CA = 1, PKI_USE_SERVER = 2, PKI_USE_CLIENT = 4 };

struct pki_kind {
    const char *name; /* the files are name.crt and name.key */
    const char *cn;   /* NULL: the node's name */
    unsigned uses;
};

/* The CA first. */
extern const struct pki_kind pki_kinds[];
extern const size_t pki_kinds_count;

struct pki_san {
    bool is_ip;
    uint8_t ip[16];
    size_t ip_len; /* 4 or 16 */
    char text[256];
};

struct pki_names {
    char node[PKI_NAME_MAX + 1];
    struct pki_san sans[PKI_NAMES_MAX];
    size_t count;
};

/* Reads one name: an IP address or a DNS name (a leading "*." is allowed). Errors: BAD_INPUT. */
MUST struct err pki_san_parse(const char *text, struct pki_san *out_san, struct why *why);
bool pki_san_eq(const struct pki_san *a, const struct pki_san *b);

/* The node's name from the options or the host. Errors: BAD_INPUT. */
MUST struct err pki_node_name(
    const struct pki_options *options, char out_node[PKI_NAME_MAX + 1], struct why *why);
/* The node's name, localhost, 127.0.0.1, ::1 and what --san gave, each once. Errors: BAD_INPUT. */
MUST struct err pki_names_wanted(
    const struct pki_options *options, struct pki_names *out_names, struct why *why);
/* Adds the addresses of the interfaces that are up; loopback and link-local ones stay out. */
MUST struct err pki_names_add_host(struct pki_names *names, struct why *why);

#endif
