/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/inspect.h"

#include "base/mem.h"
#include "pki/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static void pair_read(struct pki_pair *pair, const char *dir, const struct pki_kind *kind)
{
    *pair = (struct pki_pair){.kind = kind};
    pair->cert_path = mem_printf("%s/%s.crt", dir, kind->name);
    pair->key_path = mem_printf("%s/%s.key", dir, kind->name);
    struct err cert =
        pki_cert_read(pair->cert_path, &pair->cert, &pair->cert_mode, &pair->cert_why);
    pair->has_cert = !IS(cert, ABSENT);
    struct err key = pki_key_read(pair->key_path, &pair->key, &pair->key_mode, &pair->key_why);
    pair->has_key = !IS(key, ABSENT);
}

struct err pki_folder_read(const char *dir, struct pki_folder *out_folder, struct why *why)
{
    memset(out_folder, 0, sizeof(*out_folder));
    out_folder->dir = dir;
    struct stat st;
    if (stat(dir, &st) != 0) {
        return why_errno(why, errno, "open folder %s", dir);
    }
    if (!S_ISDIR(st.st_mode)) {
        return why_set(why, ERR(BAD_INPUT), "%s is not a folder", dir);
    }
    check(pki_kinds_count <= PKI_PAIRS_MAX);
    for (size_t i = 0; i < pki_kinds_count; i++) {
        pair_read(&out_folder->pairs[i], dir, &pki_kinds[i]);
    }
    out_folder->pairs_count = pki_kinds_count;
    return OK;
}

void pki_folder_fini(struct pki_folder *folder)
{
    for (size_t i = 0; i < folder->pairs_count; i++) {
        struct pki_pair *pair = &folder->pairs[i];
        X509_free(pair->cert);
        EVP_PKEY_free(pair->key);
        free(pair->cert_path);
        free(pair->key_path);
    }
    folder->pairs_count = 0;
}

time_t pki_time(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : 0;
}

void pki_cert_cn(const X509 *cert, char *out_text, size_t size)
{
    out_text[0] = '\0';
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out_text, (int)size);
}

static bool san_of(const GENERAL_NAME *name, struct pki_san *out_san)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    struct pki_san san = {0};
    int len = type == GEN_DNS || type == GEN_IPADD ? ASN1_STRING_length(value) : 0;
    const unsigned char *data = len > 0 ? ASN1_STRING_get0_data(value) : NULL;
    if (type == GEN_DNS && len > 0) {
        snprintf(san.text, sizeof(san.text), "%.*s", len, (const char *)data);
    } else if (type == GEN_IPADD && (len == 4 || len == 16)) {
        san.is_ip = true;
        san.ip_len = (size_t)len;
        memcpy(san.ip, data, san.ip_len);
        inet_ntop(len == 4 ? AF_INET : AF_INET6, san.ip, san.text, sizeof(san.text));
    } else {
        return false;
    }
    *out_san = san;
    return true;
}

void pki_cert_names(X509 *cert, struct pki_names *out_names)
{
    memset(out_names, 0, sizeof(*out_names));
    pki_cert_cn(cert, out_names->node, sizeof(out_names->node));
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && out_names->count < PKI_NAMES_MAX; i++) {
        if (san_of(sk_GENERAL_NAME_value(all, i), &out_names->sans[out_names->count])) {
            out_names->count++;
        }
    }
    GENERAL_NAMES_free(all);
}

/* Who is being looked at, so that a finding is one line. */
struct view {
    struct pki_folder *folder;
    size_t index;
    const struct pki_pair *pair;
    const struct pki_options *options;
};

static void find(const struct view *view, enum pki_fault fault, const char *path,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void find(
    const struct view *view, enum pki_fault fault, const char *path, const char *format, ...)
{
    struct pki_folder *folder = view->folder;
    if (folder->findings_count == PKI_FINDINGS_MAX) {
        return;
    }
    struct pki_finding *finding = &folder->findings[folder->findings_count++];
    finding->fault = fault;
    finding->pair = view->index;
    snprintf(finding->path, sizeof(finding->path), "%s", path);
    va_list args;
    va_start(args, format);
    vsnprintf(finding->text, sizeof(finding->text), format, args);
    va_end(args);
}

/* What OpenSSL or the system said, without the path that the finding has already. */
static const char *after_colon(const struct why *why)
{
    const char *colon = strrchr(why->text, ':');
    return colon ? colon + 2 : why->text;
}

static void check_files(const struct view *view)
{
    const struct pki_pair *pair = view->pair;
    bool is_ca = (pair->kind->uses & PKI_USE_CA) != 0;
    if (pair->has_cert && !pair->has_key && !is_ca) {
        find(view, PKI_FAULT_HALF, pair->key_path, "is missing, but %s.crt is there",
            pair->kind->name);
    }
    if (pair->has_key && !pair->has_cert) {
        find(view, PKI_FAULT_HALF, pair->cert_path, "is missing, but %s.key is there",
            pair->kind->name);
    }
    if (pair->has_cert && pair->cert == NULL) {
        find(view, PKI_FAULT_UNUSABLE, pair->cert_path, "is not a usable certificate: %s",
            after_colon(&pair->cert_why));
    }
    if (pair->has_key && pair->key == NULL) {
        find(view, PKI_FAULT_UNUSABLE, pair->key_path, "is not a usable private key: %s",
            after_colon(&pair->key_why));
    }
    if (pair->key != NULL && (pair->key_mode & 077) != 0) {
        find(view, PKI_FAULT_MODE, pair->key_path, "may be read by others: mode %04o, not 0600",
            (unsigned)pair->key_mode);
    }
    if (pair->cert != NULL && (pair->cert_mode & 022) != 0) {
        find(view, PKI_FAULT_MODE, pair->cert_path, "may be written by others: mode %04o, not 0644",
            (unsigned)pair->cert_mode);
    }
    if (pair->cert != NULL && pair->key != NULL &&
        X509_check_private_key(pair->cert, pair->key) != 1) {
        ERR_clear_error();
        find(
            view, PKI_FAULT_MISMATCH, pair->key_path, "is not the key of %s.crt", pair->kind->name);
    }
}

static void check_times(const struct view *view)
{
    const X509 *cert = view->pair->cert;
    time_t now = time(NULL);
    time_t start = pki_time(X509_get0_notBefore(cert));
    time_t end = pki_time(X509_get0_notAfter(cert));
    struct tm tm;
    char text[32];
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(now < start ? &start : &end, &tm));
    if (now < start) {
        find(view, PKI_FAULT_EXPIRED, view->pair->cert_path, "is not valid before %s", text);
    } else if (now >= end) {
        find(view, PKI_FAULT_EXPIRED, view->pair->cert_path, "expired on %s", text);
    } else if (end - now < (time_t)view->options->soon_days * 86400) {
        find(view, PKI_FAULT_SOON, view->pair->cert_path, "expires in %lld days, on %s",
            (long long)((end - now) / 86400), text);
    }
}

static void check_leaf_uses(const struct view *view)
{
    const struct pki_pair *pair = view->pair;
    /* A certificate without the extension may be used for everything: both calls give all ones. */
    uint32_t extended = X509_get_extended_key_usage(pair->cert);
    if ((pair->kind->uses & PKI_USE_SERVER) && !(extended & XKU_SSL_SERVER)) {
        find(view, PKI_FAULT_USES, pair->cert_path,
            "is not for servers: its extended key usage lacks serverAuth");
    }
    if ((pair->kind->uses & PKI_USE_CLIENT) && !(extended & XKU_SSL_CLIENT)) {
        find(view, PKI_FAULT_USES, pair->cert_path,
            "is not for clients: its extended key usage lacks clientAuth");
    }
    if (!(X509_get_key_usage(pair->cert) & KU_DIGITAL_SIGNATURE)) {
        find(view, PKI_FAULT_USES, pair->cert_path,
            "may not sign: its key usage lacks "
            "digitalSignature");
    }
}

static bool names_have(const struct pki_names *names, const struct pki_san *san)
{
    for (size_t i = 0; i < names->count; i++) {
        if (pki_san_eq(&names->sans[i], san)) {
            return true;
        }
    }
    return false;
}

/* The names that a member needs: the node's (its own common name unless --name says another). */
static struct err check_names(const struct view *view, struct why *why)
{
    struct pki_names has;
    pki_cert_names(view->pair->cert, &has);
    struct pki_options options = *view->options;
    if (options.name != NULL && strcmp(options.name, has.node) != 0) {
        find(view, PKI_FAULT_NAMES, view->pair->cert_path, "is for node \"%s\", not \"%s\"",
            has.node, options.name);
    } else {
        struct pki_san node;
        options.name = err_is(pki_san_parse(has.node, &node, NULL)) ? "localhost" : has.node;
    }
    struct pki_names wanted;
    TRY(pki_names_wanted(&options, &wanted, why));
    for (size_t i = 0; i < wanted.count; i++) {
        if (!names_have(&has, &wanted.sans[i])) {
            find(view, PKI_FAULT_NAMES, view->pair->cert_path,
                "does not name %s (subject alternative name)", wanted.sans[i].text);
        }
    }
    return OK;
}

static void check_ca(const struct view *view)
{
    X509 *cert = view->pair->cert;
    if (X509_check_ca(cert) != 1 || !(X509_get_key_usage(cert) & KU_KEY_CERT_SIGN)) {
        find(view, PKI_FAULT_CHAIN, view->pair->cert_path,
            "is not a CA: it may not sign certificates");
    }
    bool is_self = X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
    if (is_self && X509_verify(cert, X509_get0_pubkey(cert)) != 1) {
        find(view, PKI_FAULT_CHAIN, view->pair->cert_path, "is damaged: its signature is wrong");
    }
    ERR_clear_error();
}

/* Times have findings of their own, so they are left out here. */
static void check_chain(const struct view *view, X509_STORE *store)
{
    const struct pki_pair *pair = view->pair;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    check(ctx != NULL && X509_STORE_CTX_init(ctx, store, pair->cert, NULL) == 1);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(ctx) != 1) {
        int code = X509_STORE_CTX_get_error(ctx);
        find(view, PKI_FAULT_CHAIN, pair->cert_path, "was not signed by %s/ca.crt: %s",
            view->folder->dir, X509_verify_cert_error_string(code));
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
}

static struct err check_pair(const struct view *view, X509_STORE *store, struct why *why)
{
    check_files(view);
    if (view->pair->cert == NULL) {
        return OK;
    }
    check_times(view);
    if (view->pair->kind->uses & PKI_USE_CA) {
        check_ca(view);
        return OK;
    }
    check_leaf_uses(view);
    if (view->folder->pairs[0].cert != NULL) {
        check_chain(view, store);
    }
    return view->pair->kind->uses & PKI_USE_SERVER ? check_names(view, why) : OK;
}

struct err pki_folder_check(
    struct pki_folder *folder, const struct pki_options *options, struct why *why)
{
    struct err e = OK;
    bool is_empty = true;
    X509_STORE *store = X509_STORE_new();
    check(store != NULL);
    struct view view = {folder, 0, &folder->pairs[0], options};
    if (view.pair->cert != NULL) {
        X509_STORE_load_file(store, view.pair->cert_path);
        ERR_clear_error();
    }
    for (size_t i = 0; i < folder->pairs_count && !err_is(e); i++) {
        view.index = i;
        view.pair = &folder->pairs[i];
        is_empty = is_empty && !view.pair->has_cert && !view.pair->has_key;
        e = check_pair(&view, store, why);
    }
    view.index = 0;
    view.pair = &folder->pairs[0];
    if (is_empty) {
        find(&view, PKI_FAULT_HALF, folder->dir, "holds no certificates");
    } else if (!view.pair->has_cert && !view.pair->has_key) {
        find(&view, PKI_FAULT_CHAIN, view.pair->cert_path,
            "is missing, so no certificate here can be checked");
    }
    X509_STORE_free(store);
    return e;
}
