/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS by OpenSSL for every edge: contexts made from files, checks of those files that name the file
 * at fault, what a peer's certificate says, who is allowed in, and reload when a file changes. The
 * rules are etcd's (client/pkg/transport): a trusted CA or client_cert_auth on a server means that
 * a verified client certificate is required; allow lists and the CRL are held against the
 * certificate after its chain verified. Any thread; one object is used by one thread at a time,
 * except struct tls_source and struct tls_rules, which any thread may use.
 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include "base/err.h"

#include <openssl/ssl.h>

/* Wire numbers; 0 is the default: from 1.2 up to what OpenSSL has. */
enum tls_version { TLS_VERSION_DEFAULT = 0, TLS_VERSION_1_2 = 0x0303, TLS_VERSION_1_3 = 0x0304 };

enum tls_role { TLS_SERVER, TLS_CLIENT };

/* Lists end with NULL; a NULL list is empty, a NULL or empty path is not given. */
struct tls_options {
    const char *cert_file;
    const char *key_file;
    const char
        *trusted_ca_file; /* not given: the system's roots, where something must be verified */
    bool client_cert_auth;
    const char *crl_file; /* PEM or DER; read anew at handshakes; unreadable: nobody with a
                             certificate gets in */
    const char *const *allowed_cns;
    const char *const *allowed_hostnames;
    const char *const
        *cipher_suites; /* Go's, IANA's or OpenSSL's names; TLS 1.2 only, 1.3's are always on */
    enum tls_version min_version;
    enum tls_version max_version;
    bool skip_verify;        /* client: any server certificate will do */
    const char *server_name; /* client: checked, and sent as SNI; not given: tls_client_expect for
                                each connection */
};

/* Checks of files, for refusing to start; each error's why names the file and what is wrong with
 * it. */

/* Certificate and key: both there, readable, PEM, belonging together, valid at now_s (seconds since
 * 1970; 0: now). Errors: BAD_TLS, and ABSENT or DENIED or IO when a file cannot be read. */
MUST struct err tls_check_pair(
    const char *cert_file, const char *key_file, int64_t now_s, struct why *why);
/* The file holds a CA certificate that is valid at now_s; others in it may be out of date, as after
 * a change of CAs. Errors: as above. */
MUST struct err tls_check_ca(const char *ca_file, int64_t now_s, struct why *why);
/* The certificate (with the intermediates behind it in its file) leads to the CA. Errors: as above.
 */
MUST struct err tls_check_chain(
    const char *cert_file, const char *ca_file, int64_t now_s, struct why *why);
/* All that options name. Errors: as above. */
MUST struct err tls_check(const struct tls_options *options, int64_t now_s, struct why *why);
/* Whether name is a cipher suite that can be set: one, not OpenSSL's word for several. */
bool tls_cipher_suite_exists(const char *name);
/* Whether name is a suite of Go's that OpenSSL has no more: RC4, triple DES. */
bool tls_cipher_suite_is_gone(const char *name);
/* Appends OpenSSL's cipher list for TLS 1.2; nothing when only suites of 1.3 are named. */
struct buf;
void tls_cipher_list(const char *const *suites, struct buf *out);
/* The lowest version to speak, as OpenSSL numbers it: with suites of 1.3 only, no suite of 1.2 is
 * left, and so no TLS 1.2, as in Go. */
int tls_lowest_version(const struct tls_options *options);

/* Contexts. */

/* A context after options. As etcd does, it takes an expired certificate; tls_check is the stricter
 * look. The allow lists and the CRL are not in it: hold tls_rules_allow against the peer after the
 * handshake. *out_context is the caller's (SSL_CTX_free). Errors: BAD_TLS, ABSENT, DENIED, IO. */
MUST struct err tls_context_new(
    const struct tls_options *options, enum tls_role role, SSL_CTX **out_context, struct why *why);
/* Whether options make a server ask for a client certificate and insist on it. */
bool tls_requires_client_cert(const struct tls_options *options);
/* A client's connection must show a certificate for this host (name or IP address); sends SNI for a
 * name. */
void tls_client_expect(SSL *ssl, const char *host);
/* The oldest error of this thread's OpenSSL queue in words, the queue emptied. Lends out. */
const char *tls_error_text(char *out, size_t size);

/* Contexts that follow their files. */

struct tls_source;

enum tls_news {
    TLS_NEWS_NONE,
    TLS_NEWS_RELOADED, /* the files changed and are in use from now on */
    TLS_NEWS_BROKEN,   /* the files changed and cannot be used: why says so; the old ones stay. Told
                          once a change. */
};

/* Copies options. Errors: as tls_context_new. */
MUST struct err tls_source_new(const struct tls_options *options, enum tls_role role,
    struct tls_source **out_source, struct why *why);
void tls_source_free(struct tls_source *source);
/* Looks whether a file changed (time, size, inode), at most four times a second, and reloads. The
 * caller logs the news. */
enum tls_news tls_source_poll(struct tls_source *source, struct why *why);
/* The context for the next handshake, with a reference of the caller's own (SSL_CTX_free). */
SSL_CTX *tls_source_context(struct tls_source *source);
/* How often it was loaded: what tls_source_pem would say. */
uint64_t tls_source_count(struct tls_source *source);
/* Certificate and key (PEM, one behind the other) and CA as they are in use, for a TLS stack that
 * is not ours. *out_count grows with each reload. Gives (free()); the CA is NULL when there is
 * none. */
void tls_source_pem(struct tls_source *source, char **out_pair, char **out_ca, uint64_t *out_count);

/* A certificate of one's own. */

#define TLS_SELF_PATH_MAX 4096

struct tls_self {
    const char *dir;          /* is there */
    const char *const *hosts; /* names and IP addresses, NULL-terminated */
    unsigned years;
    bool is_client_too; /* good for connecting as well, as peers do */
};

struct tls_self_files {
    char cert[TLS_SELF_PATH_MAX];
    char key[TLS_SELF_PATH_MAX];
    bool is_new;
};

/* dir/cert.pem and dir/key.pem: those that are there, or a pair that signs itself (P-256). The
 * certificate is a CA's too, so that it can be a client's trusted CA. Errors: BAD_TLS, and ABSENT
 * or DENIED or IO when a file cannot be written. */
MUST struct err tls_self_make(
    const struct tls_self *wanted, struct tls_self_files *out, struct why *why);

/* Who is allowed in. */

struct tls_rules;

/* Copies the lists and the CRL's path. */
struct tls_rules *tls_rules_new(const struct tls_options *options);
void tls_rules_free(struct tls_rules *rules);
/* Whether the verified peer may come in: CRL over leaf and chain (chain may be NULL), then the
 * allow lists over the leaf. leaf NULL (no certificate asked for): in, unless there is an allow
 * list. Errors: DENIED with etcd's text in why. */
MUST struct err tls_rules_allow(
    struct tls_rules *rules, X509 *leaf, STACK_OF(X509) * chain, struct why *why);
/* The same for a connection whose handshake is done. */
MUST struct err tls_rules_admit(struct tls_rules *rules, SSL *ssl, struct why *why);
/* False: every verified peer is allowed. */
bool tls_rules_any(const struct tls_rules *rules);

/* What a certificate says. */

/* Reads the first certificate of PEM text. NULL: there is none. Gives (X509_free). */
X509 *tls_cert_parse(const char *pem);
/* The subject's common name; NULL when there is none or it holds a NUL. Gives (free()). */
char *tls_cert_cn(X509 *cert);
/* Go's VerifyHostname: IP addresses against IP SANs, names against DNS SANs with wildcards; never
 * the CN. */
bool tls_cert_is_for(X509 *cert, const char *host);
/* Whether a certificate's SANs let it come from that IP address: none at all do, and so do its IP
 * addresses and the names that the address or that lead to the address (etcd's check of peers, off
 * with --peer-skip-client-san-verification). Asks DNS when there are names: blocks. */
bool tls_cert_is_from(X509 *cert, const char *ip);
/* The SANs' names and addresses as text, NULL-terminated, in one allocation. Gives (free()). */
char **tls_cert_sans(X509 *cert);

#endif
