/* SPDX-License-Identifier: Apache-2.0
 *
 * sd_notify waits while the receiver's socket is full. Only the main thread tells, so a receiver
 * that no longer reads holds up the answer to signals (stop, reload) and the doors for clients that
 * are opened after the wait; members and clients that are served already do not notice.
 *
 * Before READY=1 systemd would end the start at TimeoutStartSec, and whoever takes a large snapshot
 * would begin from zero, for ever. A member that is alive asks for more time: long enough that some
 * of it is left when the machine is slow, short enough that one that hangs is ended soon.
 */
#include "boot/notify.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 500, EXTEND_EVERY_MS = 20000 };

#define EXTEND_TIMEOUT "EXTEND_TIMEOUT_USEC=120000000"

static sigset_t handled(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void notify_block_signals(void)
{
    sigset_t set = handled();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static pthread_t passing;
static atomic_bool is_passed; /* SIGUSR1 is the word to end */

/* The first process of a container is not ended by a signal's default. */
static void end_by(int which, const sigset_t *set)
{
    signal(which, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, set, NULL);
    raise(which);
    _exit(128 + which);
}

/* notify_take_signals' word to end is a signal's number: what a signal could carry beside it is
 * lost where the user's limit of pending signals is reached. What came before it is meant for the
 * process, and what comes after it is left to who waits next. */
static void *pass_signals(void *arg)
{
    sigset_t set = handled();
    int which = 0;
    (void)arg;
    sigdelset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    check(sigwait(&set, &which) == 0);
    if (which != SIGUSR1 || !atomic_load(&is_passed)) {
        end_by(which, &set);
    }
    return NULL;
}

/* Blocked for the thread from its first moment on. */
void notify_pass_signals(void)
{
    sigset_t word;
    sigset_t before;
    sigemptyset(&word);
    sigaddset(&word, SIGUSR1);
    atomic_store(&is_passed, false);
    pthread_sigmask(SIG_BLOCK, &word, &before);
    check(pthread_create(&passing, NULL, pass_signals, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setname_np(passing, "opening");
}

void notify_take_signals(void)
{
    atomic_store(&is_passed, true);
    check(pthread_kill(passing, SIGUSR1) == 0);
    pthread_join(passing, NULL);
}

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=stopping: draining clients, making the store durable");
}

/* systemd does not know of a reload before READY=1, and must not take its end for that. */
static void answer_reload(const struct notify_watch *watch)
{
    bool is_ready = !watch->is_over;
    if (is_ready) {
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_ns() / 1000);
    }
    LOG_INFO("received signal; looking at certificates again", LOG_STR("signal", "hangup"));
    watch->reload(watch->arg);
    if (is_ready) {
        sd_notify(0, "READY=1");
    }
}

/* How often to feed the watchdog; 0: there is none. */
static int64_t feed_every_ms(void)
{
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) <= 0) {
        return 0;
    }
    return watchdog_us / 2000 < LOOK_EVERY_MS ? (int64_t)(watchdog_us / 2000) : LOOK_EVERY_MS;
}

/* is_over has waited already. */
static int next_signal(const struct notify_watch *watch, int64_t every_ms)
{
    sigset_t set = handled();
    int64_t wait_ms = watch->is_over ? 0 : every_ms;
    struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000};
    return sigtimedwait(&set, NULL, watch->is_over || every_ms ? &wait : NULL);
}

/* When it was last told that this member is alive. */
struct told {
    int64_t feed_every_ms;
    int64_t fed_ms;
    int64_t extend_ms; /* when to ask for more time next: at once */
};

static void tell_alive(const struct notify_watch *watch, struct told *told)
{
    int64_t now_ms = clock_mono_ms();
    bool is_ready = !watch->is_over;
    bool feeds = told->feed_every_ms && (is_ready || now_ms - told->fed_ms >= told->feed_every_ms);
    bool extends = !is_ready && now_ms >= told->extend_ms;
    if (!(feeds || extends) || !watch->is_alive(watch->arg)) {
        return;
    }
    if (feeds) {
        sd_notify(0, "WATCHDOG=1");
        told->fed_ms = now_ms;
    }
    if (extends) {
        sd_notify(0, EXTEND_TIMEOUT);
        told->extend_ms = now_ms + EXTEND_EVERY_MS;
    }
}

int notify_wait(const struct notify_watch *watch)
{
    struct told told = {.feed_every_ms = feed_every_ms()};
    for (;;) {
        if (watch->is_over && watch->is_over(watch->arg)) {
            return 0;
        }
        int signal = next_signal(watch, told.feed_every_ms);
        if (signal == SIGHUP) {
            answer_reload(watch);
        } else if (signal > 0) {
            return signal;
        }
        tell_alive(watch, &told);
    }
}
