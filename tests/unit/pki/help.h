/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of certificates for one test, the openssl command beside it, and pairs made wrong on
 * purpose.
 */
#ifndef TEST_PKI_HELP_H
#define TEST_PKI_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pki/pki.h"

struct folder {
    char dir[64];
    struct pki_options options;
    char *said; /* by the last call */
    size_t said_len;
    struct why why;
};

struct wrong {
    const char *pair;   /* whose files are written */
    const char *node;   /* NULL: "node1" */
    unsigned uses;      /* 0: the pair's own */
    int days;           /* below 0: expired */
    bool without_names; /* no localhost, no addresses */
};

int folder_setup(void **state);
int folder_teardown(void **state);

struct err folder_init(struct folder *folder);
struct err folder_show(struct folder *folder);
/* True when sound. */
bool folder_verify(struct folder *folder);
/* Verifies and demands that it says exactly one thing, which names file and holds text. */
void folder_assert_finding(struct folder *folder, const char *file, const char *text);

/* Runs a shell command in the folder; the output, in static memory. Fails the test on exit != 0. */
const char *shell(const struct folder *folder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Replaces a pair with one that the folder's CA signed, wrong as asked. */
void folder_put_wrong(struct folder *folder, const struct wrong *wrong);

int run_init_tests(void);
int run_verify_tests(void);
int run_names_tests(void);
int run_cli_tests(void);

/* The program, as ctest names it. */
extern const char *program_path;

#endif
