/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include "base/err.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

static X509 *cert_new(const struct pki_spec *spec, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    long from = spec->from_s || spec->until_s ? spec->from_s : -3600;
    long until = spec->from_s || spec->until_s ? spec->until_s : 3600;
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), spec->serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), from);
    X509_gmtime_adj(X509_getm_notAfter(cert), until);
    const char *const names[] = {spec->cn, spec->cn_2};
    for (size_t i = 0; i < 2 && names[i]; i++) {
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
            (const unsigned char *)names[i], -1, -1, 0);
    }
    X509_set_pubkey(cert, key);
    return cert;
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    check(ext);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

static FILE *create(struct pki *pki, const char *name, const char *suffix)
{
    char file[64];
    snprintf(file, sizeof(file), "%s%s", name, suffix);
    FILE *out = fopen(pki_path(pki, file), "wb");
    check(out);
    return out;
}

static void save(struct pki *pki, const char *name, X509 *cert, EVP_PKEY *key)
{
    FILE *out = create(pki, name, ".crt");
    check(PEM_write_X509(out, cert) == 1);
    fclose(out);
    out = create(pki, name, ".key");
    check(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(out);
}

void pki_init(struct pki *pki)
{
    snprintf(pki->dir, sizeof(pki->dir), "/tmp/ketcd-pki-XXXXXX");
    check(mkdtemp(pki->dir));
    pki->ca_key = EVP_EC_gen("P-256");
    check(pki->ca_key);
    pki->ca = cert_new(&(struct pki_spec){.cn = "test ca", .serial = 1}, pki->ca_key);
    X509_set_issuer_name(pki->ca, X509_get_subject_name(pki->ca));
    extend(pki->ca, NID_basic_constraints, "critical,CA:TRUE");
    extend(pki->ca, NID_key_usage, "critical,keyCertSign,cRLSign");
    check(X509_sign(pki->ca, pki->ca_key, EVP_sha256()) > 0);
    save(pki, "ca", pki->ca, pki->ca_key);
}

void pki_fini(struct pki *pki)
{
    DIR *dir = opendir(pki->dir);
    struct dirent *ent;
    while (dir && (ent = readdir(dir))) {
        if (ent->d_name[0] != '.') {
            unlink(pki_path(pki, ent->d_name));
        }
    }
    if (dir) {
        closedir(dir);
    }
    rmdir(pki->dir);
    X509_free(pki->ca);
    EVP_PKEY_free(pki->ca_key);
}

void pki_make(struct pki *pki, const struct pki_spec *spec)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    check(key);
    X509 *cert = cert_new(spec, key);
    X509_set_issuer_name(cert, X509_get_subject_name(spec->is_self_signed ? cert : pki->ca));
    extend(cert, NID_ext_key_usage, "serverAuth,clientAuth");
    if (spec->sans) {
        extend(cert, NID_subject_alt_name, spec->sans);
    }
    check(X509_sign(cert, spec->is_self_signed ? key : pki->ca_key, EVP_sha256()) > 0);
    save(pki, spec->name, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void pki_make_crl(struct pki *pki, const char *file, long serial, int is_der)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *now = ASN1_TIME_adj(NULL, time(NULL), 0, 0);
    ASN1_INTEGER_set(number, serial);
    X509_REVOKED_set_serialNumber(entry, number);
    X509_REVOKED_set_revocationDate(entry, now);
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(pki->ca));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, now);
    X509_CRL_add0_revoked(crl, entry);
    check(X509_CRL_sign(crl, pki->ca_key, EVP_sha256()) > 0);
    FILE *out = create(pki, file, "");
    check((is_der ? i2d_X509_CRL_fp(out, crl) : PEM_write_X509_CRL(out, crl)) == 1);
    fclose(out);
    ASN1_TIME_free(now);
    ASN1_INTEGER_free(number);
    X509_CRL_free(crl);
}

const char *pki_path(struct pki *pki, const char *file)
{
    static char paths[8][512];
    static unsigned next;
    char *out = paths[next++ % 8];
    snprintf(out, sizeof(paths[0]), "%s/%s", pki->dir, file);
    return out;
}

void pki_write(struct pki *pki, const char *file, const char *text)
{
    FILE *out = create(pki, file, "");
    fputs(text, out);
    fclose(out);
}
