/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "front/sniff.h"
#include "test_front.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

size_t hello_make(const char *alpn, uint8_t *out, size_t size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *wire = BIO_new(BIO_s_mem());
    BIO *none = BIO_new(BIO_s_mem());
    if (alpn) {
        SSL_set_alpn_protos(ssl, (const uint8_t *)alpn, (unsigned)strlen(alpn));
    }
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set_bio(ssl, none, wire);
    SSL_connect(ssl);
    int len = BIO_read(wire, out, (int)size);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return len > 0 ? (size_t)len : 0;
}

static void test_plain_knows_the_preface(void **state)
{
    (void)state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and frames";
    assert_int_equal(sniff_plain(SLICE("")), SNIFF_MORE);
    for (size_t i = 1; i < 24; i++) {
        assert_int_equal(sniff_plain(slice_of(preface, i)), SNIFF_MORE);
    }
    assert_int_equal(sniff_plain(slice_of(preface, 24)), SNIFF_GRPC);
    assert_int_equal(sniff_plain(slice_str(preface)), SNIFF_GRPC);
}

static void test_plain_knows_the_rest(void **state)
{
    (void)state;
    assert_int_equal(sniff_plain(SLICE("G")), SNIFF_HTTP);
    assert_int_equal(sniff_plain(SLICE("PROPFIND / HTTP/1.1")), SNIFF_HTTP);
    assert_int_equal(sniff_plain(SLICE("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")), SNIFF_HTTP);
    assert_int_equal(sniff_plain(SLICE("\x16\x03\x01")), SNIFF_BAD);
}

static void assert_hello(const char *alpn, enum sniff what)
{
    uint8_t bytes[2048];
    size_t len = hello_make(alpn, bytes, sizeof(bytes));
    assert_true(len > 50);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(sniff_tls(slice_of(bytes, i)), SNIFF_MORE);
    }
    assert_int_equal(sniff_tls(slice_of(bytes, len)), what);
}

static void test_tls_reads_the_protocols(void **state)
{
    (void)state;
    assert_hello("\2h2", SNIFF_GRPC);
    assert_hello("\x08grpc-exp\2h2", SNIFF_GRPC);
    assert_hello("\2h2\x08http/1.1", SNIFF_HTTP);
    assert_hello("\x08http/1.1", SNIFF_HTTP);
    assert_hello(NULL, SNIFF_HTTP);
}

static void test_tls_reads_a_hello_in_several_records(void **state)
{
    (void)state;
    uint8_t whole[2048];
    uint8_t cut[4096];
    size_t len = hello_make("\2h2", whole, sizeof(whole));
    size_t out = 0;
    for (size_t at = 5; at < len; at += 50) {
        size_t part = len - at < 50 ? len - at : 50;
        memcpy(cut + out, "\x16\x03\x01\x00", 4);
        cut[out + 4] = (uint8_t)part;
        memcpy(cut + out + 5, whole + at, part);
        out += part + 5;
        enum sniff expected = at + part == len ? SNIFF_GRPC : SNIFF_MORE;
        assert_int_equal(sniff_tls(slice_of(cut, out)), expected);
    }
}

static void test_tls_refuses_what_is_none(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    size_t len = hello_make("\2h2", bytes, sizeof(bytes));
    assert_int_equal(sniff_tls(SLICE("GET / HTTP/1.1\r\n")), SNIFF_NOT_TLS);
    assert_int_equal(sniff_tls(SLICE("\x16\x02")), SNIFF_NOT_TLS);
    assert_int_equal(sniff_tls(SLICE("\x15\x03\x01\x00\x02\x02\x28")), SNIFF_NOT_TLS);
    assert_int_equal(sniff_tls(SLICE("\x16\x03\x01\x00\x00")), SNIFF_BAD);
    assert_int_equal(sniff_tls(SLICE("\x16\x03\x01\xff\xff")), SNIFF_BAD);
    assert_int_equal(sniff_tls(SLICE("\x16\x03\x01\x00\x05\x02\x00\x00\x00\x00")), SNIFF_BAD);
    assert_int_equal(sniff_tls(SLICE("\x16\x03\x01\x00\x04\x01\xff\xff\xff")), SNIFF_BAD);
    assert_int_equal(sniff_tls(SLICE("\x16\x03\x01\x00\x04\x01\x00\x00\x00")), SNIFF_BAD);
    bytes[5 + 4 + 34] = 255; /* the session is said to be longer than what is there */
    bytes[3] = 0;
    assert_int_not_equal(sniff_tls(slice_of(bytes, len)), SNIFF_GRPC);
}

static void test_tls_waits_for_no_more_than_its_limit(void **state)
{
    (void)state;
    uint8_t *bytes = mem_new(SNIFF_BYTES_MAX);
    size_t at = 0;
    for (; at + 16 < SNIFF_BYTES_MAX; at += 16) {
        memcpy(bytes + at, "\x16\x03\x01\x00\x0b", 5);
    }
    memcpy(bytes + 5, "\x01\x00\x42\x00", 4); /* just under the limit, and never whole */
    memcpy(bytes + at, "\x16\x03\x01\x00\x0b", 5);
    assert_int_equal(sniff_tls(slice_of(bytes, SNIFF_BYTES_MAX - 1)), SNIFF_MORE);
    assert_int_equal(sniff_tls(slice_of(bytes, SNIFF_BYTES_MAX)), SNIFF_BAD);
    free(bytes);
}

int run_sniff_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_knows_the_preface),
        cmocka_unit_test(test_plain_knows_the_rest),
        cmocka_unit_test(test_tls_reads_the_protocols),
        cmocka_unit_test(test_tls_reads_a_hello_in_several_records),
        cmocka_unit_test(test_tls_refuses_what_is_none),
        cmocka_unit_test(test_tls_waits_for_no_more_than_its_limit),
    };
    return cmocka_run_group_tests_name("sniff", tests, NULL, NULL);
}
