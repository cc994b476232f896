/* SPDX-License-Identifier: Apache-2.0
 *
 * The command as a script sees it: exit code, standard output, standard error. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct outcome {
    int code; /* 100: it would run */
    char out[65536];
    char err[65536];
};

static void read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got = 0;
    while (len + 1 < size && (got = read(fd, text + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    text[len] = 0;
    close(fd);
}

static _Noreturn void child(const char *line, char *const *variables)
{
    struct arena *arena = arena_new(0);
    struct text_list args = text_split(arena, line, ' ');
    struct config_source source = {
        (int)args.count, (char *const *)(uintptr_t)args.items, variables, "/nonexistent/key", 0};
    struct config config;
    int code = 0;
    bool runs = config_start(&source, &config, &code);
    if (runs) {
        config_fini(&config);
    }
    arena_free(arena);
    fflush(NULL);
    _exit(runs ? 100 : code);
}

static void run(const char *line, char *const *variables, struct outcome *out)
{
    int outs[2];
    int errs[2];
    int status = 0;
    assert_int_equal(pipe(outs), 0);
    assert_int_equal(pipe(errs), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(outs[1], STDOUT_FILENO);
        dup2(errs[1], STDERR_FILENO);
        child(line, variables);
    }
    close(outs[1]);
    close(errs[1]);
    read_all(outs[0], out->out, sizeof(out->out));
    read_all(errs[0], out->err, sizeof(out->err));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    out->code = WEXITSTATUS(status);
}

static struct outcome outcome;

static void expect_order(const char *text, const char *first, const char *second)
{
    const char *at = strstr(text, first);
    assert_non_null(at);
    assert_non_null(strstr(at, second));
}

static void test_start_runs_and_logs_in_order(void **state)
{
    (void)state;
    run("etcd --name=a --experimental-memory-mlock", NULL, &outcome);
    assert_int_equal(outcome.code, 100);
    assert_string_equal(outcome.out, "");
    expect_order(outcome.err, "--experimental-memory-mlock is deprecated", "\"msg\":\"Running: \"");
    expect_order(outcome.err,
        "\"msg\":\"Running: \",\"args\":[\"etcd\",\"--name=a\",\"--experimental-memory-mlock\"]}",
        "'data-dir' was empty; using default\",\"data-dir\":\"a.etcd\"}");
}

static void test_start_prints_help_to_both_as_etcd(void **state)
{
    (void)state;
    run("etcd --help", NULL, &outcome);
    assert_int_equal(outcome.code, 0);
    assert_int_equal(strncmp(outcome.err, "Usage:\n", 7), 0);
    assert_int_equal(strncmp(outcome.out, "\nMember:\n", 9), 0);
}

static void test_start_prints_version(void **state)
{
    (void)state;
    run("etcd --version", NULL, &outcome);
    assert_int_equal(outcome.code, 0);
    assert_int_equal(strncmp(outcome.out, "etcd Version: 3.6.", 18), 0);
    assert_string_equal(outcome.err, "");
}

static void test_start_ends_with_2_where_nothing_parses(void **state)
{
    static const char *const begin = "flag provided but not defined: -nope\nUsage:\n";
    (void)state;
    run("etcd --nope", NULL, &outcome);
    assert_int_equal(outcome.code, 2);
    assert_string_equal(outcome.out, "");
    assert_int_equal(strncmp(outcome.err, begin, strlen(begin)), 0);
}

static void test_start_ends_with_1_where_it_refuses(void **state)
{
    (void)state;
    run("etcd --listen-client-urls=http://127.0.0.1:1", NULL, &outcome);
    assert_int_equal(outcome.code, 1);
    expect_order(outcome.err, "\"msg\":\"Running: \"",
        "\"msg\":\"failed to verify flags\",\"error\":\"--advertise-client-urls is required when");
    assert_non_null(strstr(outcome.err, "\"msg\":\"advertise client URLs are not set\""));
}

static void test_start_ends_at_a_shadowed_variable(void **state)
{
    char variable[] = "ETCD_NAME=b";
    char *variables[] = {variable, NULL};
    (void)state;
    run("etcd --name=a", variables, &outcome);
    assert_int_equal(outcome.code, 1);
    assert_non_null(strstr(outcome.err, "{\"level\":\"fatal\""));
    assert_non_null(strstr(outcome.err, "\"environment-variable\":\"ETCD_NAME\"}"));
    assert_null(strstr(outcome.err, "Running: "));
}

static void test_start_refuses_a_log_that_cannot_open(void **state)
{
    (void)state;
    run("etcd --log-outputs=/nonexistent/dir/log", NULL, &outcome);
    assert_int_equal(outcome.code, 1);
    assert_non_null(strstr(outcome.err, "/nonexistent/dir/log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_runs_and_logs_in_order),
        cmocka_unit_test(test_start_prints_help_to_both_as_etcd),
        cmocka_unit_test(test_start_prints_version),
        cmocka_unit_test(test_start_ends_with_2_where_nothing_parses),
        cmocka_unit_test(test_start_ends_with_1_where_it_refuses),
        cmocka_unit_test(test_start_ends_at_a_shadowed_variable),
        cmocka_unit_test(test_start_refuses_a_log_that_cannot_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
