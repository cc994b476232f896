/* SPDX-License-Identifier: Apache-2.0
 * What systemd hears while a start waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/notify.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXTEND "EXTEND_TIMEOUT_USEC=120000000"

static int receiver;

struct wait {
    int looks; /* that are left */
    bool is_alive;
    int asked;     /* whether it was alive */
    int signal_at; /* the answer with which a signal to stop comes */
};

static bool is_over(void *arg)
{
    struct wait *wait = arg;
    return wait->looks-- == 0;
}

static bool is_alive(void *arg)
{
    struct wait *wait = arg;
    if (++wait->asked == wait->signal_at) {
        raise(SIGTERM);
    }
    return wait->is_alive;
}

static void reload(void *arg)
{
    (void)arg;
}

static int setup(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(address);
    (void)state;
    receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(receiver >= 0);
    /* The system finds an abstract name. */
    assert_int_equal(bind(receiver, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(receiver, (struct sockaddr *)&address, &len), 0);
    address.sun_path[0] = '@';
    address.sun_path[len - offsetof(struct sockaddr_un, sun_path)] = '\0';
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    unsetenv("WATCHDOG_USEC");
    notify_block_signals();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    close(receiver);
    return 0;
}

/* The next message, or "": what was told is there already. */
static const char *hear(void)
{
    static char text[256];
    ssize_t len = recv(receiver, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static struct wait wait_for(struct wait wait)
{
    struct notify_watch watch = {is_alive, reload, is_over, &wait};
    assert_int_equal(notify_wait(&watch), 0);
    return wait;
}

/* At once, for the limit may be short, and without a watchdog. */
static void test_a_start_that_goes_on_is_given_time(void **state)
{
    (void)state;
    wait_for((struct wait){.looks = 3, .is_alive = true});
    assert_string_equal(hear(), EXTEND);
    assert_string_equal(hear(), "");
}

static void test_a_start_that_hangs_is_not(void **state)
{
    (void)state;
    struct wait wait = wait_for((struct wait){.looks = 3});
    assert_int_equal(wait.asked, 3);
    assert_string_equal(hear(), "");
}

static void test_a_start_that_is_over_asks_for_nothing(void **state)
{
    (void)state;
    wait_for((struct wait){.is_alive = true});
    assert_string_equal(hear(), "");
}

/* Two looks at one moment would take the second for a hang. */
static void test_one_look_is_for_the_watchdog_too(void **state)
{
    (void)state;
    setenv("WATCHDOG_USEC", "60000000", 1);
    struct wait wait = wait_for((struct wait){.looks = 1, .is_alive = true});
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(wait.asked, 1);
    assert_string_equal(hear(), "WATCHDOG=1");
    assert_string_equal(hear(), EXTEND);
}

static void test_who_is_ready_asks_for_no_time(void **state)
{
    struct wait wait = {.is_alive = true, .signal_at = 2};
    struct notify_watch watch = {is_alive, reload, NULL, &wait};
    (void)state;
    setenv("WATCHDOG_USEC", "2000", 1);
    int signal = notify_wait(&watch);
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(signal, SIGTERM);
    assert_string_equal(hear(), "WATCHDOG=1");
    assert_string_equal(hear(), "WATCHDOG=1");
    assert_string_equal(hear(), "");
}

/* How a process ended that has nothing but signals to wait for. */
static int end_of(void (*run)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm(300);
        notify_block_signals();
        notify_pass_signals();
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void be_told_to_stop(void)
{
    kill(getpid(), SIGTERM);
    pause();
}

static void be_interrupted(void)
{
    kill(getpid(), SIGINT);
    pause();
}

static void open_and_be_told_to_stop(void)
{
    struct notify_watch watch = {is_alive, reload, NULL, NULL};
    kill(getpid(), SIGHUP); /* kept for who is open */
    notify_take_signals();
    kill(getpid(), SIGTERM);
    _exit(notify_wait(&watch) == SIGTERM ? 7 : 8);
}

/* A signal may then carry nothing but its number. */
static void open_with_no_signals_left(void)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_SIGPENDING, &none) != 0) {
        _exit(9);
    }
    open_and_be_told_to_stop();
}

static void test_who_opens_ends_by_the_signal(void **state)
{
    (void)state;
    int status = end_of(be_told_to_stop);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    status = end_of(be_interrupted);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

static void test_who_is_open_takes_the_signal(void **state)
{
    (void)state;
    int status = end_of(open_and_be_told_to_stop);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    status = end_of(open_with_no_signals_left);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void be_first(void)
{
    int status = 0;
    notify_take_signals();
    if (unshare(CLONE_NEWPID) != 0) {
        _exit(1);
    }
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no alarm ends it */
        notify_pass_signals();
        be_told_to_stop();
    }
    waitpid(child, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
}

/* A container's: no signal's default ends it. */
static void test_the_first_process_ends_as_well(void **state)
{
    (void)state;
    int status = end_of(be_first);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 1) {
        print_message("no namespace of processes may be made here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_start_that_goes_on_is_given_time),
        TEST(test_a_start_that_hangs_is_not),
        TEST(test_a_start_that_is_over_asks_for_nothing),
        TEST(test_one_look_is_for_the_watchdog_too),
        TEST(test_who_is_ready_asks_for_no_time),
        TEST(test_who_opens_ends_by_the_signal),
        TEST(test_who_is_open_takes_the_signal),
        TEST(test_the_first_process_ends_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
