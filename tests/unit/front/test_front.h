/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FRONT_H
#define TESTS_FRONT_H

#include <stddef.h>
#include <stdint.h>

/* A ClientHello as OpenSSL writes it, with that ALPN list on the wire ("\2h2"); NULL: none. Returns
 * its length. */
size_t hello_make(const char *alpn, uint8_t *out, size_t size);

int run_sniff_tests(void);
int run_listen_tests(void);

#endif
