/* SPDX-License-Identifier: Apache-2.0
 *
 * Codes and texts against rpctypes.txt: what etcd's Go client compares, one "STATUS text" a line.
 */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *table_path;

static const char *const status_names[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

static bool is_known(const char *status, const char *text)
{
    for (int code = 1; code < ERR_CODES; code++) {
        struct err e = {(enum err_code)code};
        if (strcmp(err_text(e), text) == 0) {
            return strcmp(status_names[err_grpc(e)], status) == 0;
        }
    }
    return false;
}

static void test_err_has_every_text_clients_compare(void **state)
{
    char line[256];
    size_t count = 0;
    FILE *file = fopen(table_path, "re");
    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        char *text = strchr(line, ' ');
        assert_non_null(text);
        *text++ = 0;
        text[strcspn(text, "\n")] = 0;
        count++;
        if (!is_known(line, text)) {
            fail_msg("%s %s is not in err.def", line, text);
        }
    }
    fclose(file);
    assert_true(count > 60);
}

static void test_err_names_are_told_apart(void **state)
{
    (void)state;
    for (int i = 1; i < ERR_CODES; i++) {
        struct err e = {(enum err_code)i};
        assert_true(err_is(e));
        assert_true(*err_name(e) && *err_text(e));
        for (int j = 1; j < i; j++) {
            struct err other = {(enum err_code)j};
            assert_string_not_equal(err_text(e), err_text(other));
        }
    }
    assert_false(err_is(OK));
    assert_string_equal(err_name(ERR(EMPTY_KEY)), "EMPTY_KEY");
}

static void test_err_errno_keeps_what_matters(void **state)
{
    (void)state;
    assert_true(IS(err_errno(ENOSPC), NO_DISK));
    assert_true(IS(err_errno(EDQUOT), NO_DISK));
    assert_true(IS(err_errno(EACCES), DENIED));
    assert_true(IS(err_errno(ENOENT), ABSENT));
    assert_true(IS(err_errno(EEXIST), EXISTS));
    assert_true(IS(err_errno(EIO), IO));
    assert_false(err_is(err_errno(0)));
}

static void test_why_tells_the_story(void **state)
{
    struct why why;
    char big[2 * sizeof(why.text)];
    (void)state;
    assert_true(IS(why_set(&why, ERR(BUSY), "n %d", 5), BUSY));
    assert_string_equal(why.text, "n 5");
    assert_true(IS(why_errno(&why, ENOENT, "open %s", "f"), ABSENT));
    assert_string_equal(why.text, "open f: No such file or directory");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    assert_true(IS(why_errno(&why, EIO, "%s", big), IO));
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
    assert_true(IS(why_set(NULL, ERR(BUSY), "x"), BUSY));
    assert_true(IS(why_errno(NULL, EIO, "x"), IO));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_has_every_text_clients_compare),
        cmocka_unit_test(test_err_names_are_told_apart),
        cmocka_unit_test(test_err_errno_keeps_what_matters),
        cmocka_unit_test(test_why_tells_the_story),
    };
    if (argc < 2) {
        return 2;
    }
    table_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
