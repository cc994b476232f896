/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_pem.h"

#include "base/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

struct err tls_read_file(const char *path, struct buf *out, struct why *why)
{
    struct err e = OK;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return why_errno(why, errno, "open %s", path);
    }
    while (got > 0 && !out->is_full) {
        uint8_t chunk[16384];
        got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            got = 1;
            continue;
        }
        if (got < 0) {
            e = why_errno(why, errno, "read %s", path);
            goto out;
        }
        buf_add(out, chunk, (size_t)got);
    }
    if (out->is_full) {
        e = why_set(why, ERR(TOO_BIG), "%s is larger than %zu bytes", path, out->bytes_max);
    }
out:
    close(fd);
    return e;
}

/* Never asks a terminal for the key's password. */
static int no_password(char *out, int size, int is_writing, void *arg)
{
    (void)out;
    (void)size;
    (void)is_writing;
    *(bool *)arg = true;
    return -1;
}

static bool at_end_of_pem(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

struct err tls_parse_certs(
    struct slice pem, const char *path, STACK_OF(X509) * *out_certs, struct why *why)
{
    struct err e = OK;
    bool is_asked = false;
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pem.data ? (const void *)pem.data : "", (int)pem.len);
    X509 *cert;
    check(certs && bio);
    ERR_clear_error();
    while ((cert = PEM_read_bio_X509(bio, NULL, no_password, &is_asked))) {
        check(sk_X509_push(certs, cert) > 0);
    }
    if (!at_end_of_pem()) {
        char text[200];
        e = why_set(why, ERR(BAD_TLS), "%s holds a certificate that cannot be parsed: %s", path,
            tls_error_text(text, sizeof(text)));
    } else if (sk_X509_num(certs) == 0) {
        e = why_set(why, ERR(BAD_TLS), "%s holds no PEM certificate", path);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (err_is(e)) {
        tls_certs_free(certs);
        return e;
    }
    *out_certs = certs;
    return OK;
}

struct err tls_parse_key(struct slice pem, const char *path, EVP_PKEY **out_key, struct why *why)
{
    bool is_asked = false;
    BIO *bio = BIO_new_mem_buf(pem.data ? (const void *)pem.data : "", (int)pem.len);
    check(bio);
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &is_asked);
    BIO_free(bio);
    if (key) {
        *out_key = key;
        return OK;
    }
    bool is_empty = !pem.data || !memmem(pem.data, pem.len, "PRIVATE KEY-----", 16);
    char text[200];
    tls_error_text(text, sizeof(text));
    if (is_asked) {
        return why_set(why, ERR(BAD_TLS), "%s holds an encrypted private key", path);
    }
    if (is_empty) {
        return why_set(why, ERR(BAD_TLS), "%s holds no PEM private key", path);
    }
    return why_set(
        why, ERR(BAD_TLS), "%s holds a private key that cannot be parsed: %s", path, text);
}

struct err tls_load_certs(const char *path, STACK_OF(X509) * *out_certs, struct why *why)
{
    struct buf bytes;
    buf_init(&bytes, TLS_FILE_BYTES_MAX);
    struct err e = tls_read_file(path, &bytes, why);
    if (!err_is(e)) {
        e = tls_parse_certs(buf_slice(&bytes), path, out_certs, why);
    }
    buf_fini(&bytes);
    return e;
}

void tls_certs_free(STACK_OF(X509) * certs)
{
    sk_X509_pop_free(certs, X509_free);
}

const char *tls_error_text(char *out, size_t size)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (reason) {
        snprintf(out, size, "%s", reason);
    } else {
        snprintf(out, size, code ? "error %lx" : "no reason given", code);
    }
    ERR_clear_error();
    return out;
}
