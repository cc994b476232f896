/* SPDX-License-Identifier: Apache-2.0 */
#include "http/fault.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* The other end's alert, which may lie unread where our own writing failed first. 0: none. */
static unsigned long unread_alert(SSL *ssl)
{
    char byte;
    ERR_clear_error();
    (void)SSL_peek(ssl, &byte, 1);
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    return code;
}

struct err fault_of_tls(struct bufferevent *bev, struct why *why)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    unsigned long code = bufferevent_get_openssl_error(bev);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL && ssl && SSL_is_init_finished(ssl)) {
        code = unread_alert(ssl);
    }
    int told = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *reason = told ? ERR_reason_error_string(code) : NULL;
    if (told == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        return why_set(why, ERR(CLOSED), "EOF");
    }
    if (told == SSL_R_CERTIFICATE_VERIFY_FAILED && ssl) {
        reason = X509_verify_cert_error_string(SSL_get_verify_result(ssl));
    }
    return reason ? why_set(why, ERR(BAD_TLS), "tls: %s", reason)
                  : why_set(why, ERR(BAD_TLS), "%s", "");
}
