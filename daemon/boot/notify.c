/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/notify.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

enum { LOOK_EVERY_MS = 500 };

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
    notify_take_signals(true);
    signal(SIGPIPE, SIG_IGN);
}

void notify_take_signals(bool is_taken)
{
    sigset_t set = handled();
    pthread_sigmask(is_taken ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=stopping: draining clients, making the store durable");
}

static void answer_reload(void (*reload)(void *arg), void *arg)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_ns() / 1000);
    LOG_INFO("received signal; looking at certificates again", LOG_STR("signal", "hangup"));
    reload(arg);
    sd_notify(0, "READY=1");
}

int notify_poll(int64_t timeout_ms)
{
    sigset_t set = handled();
    struct timespec wait = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    sigdelset(&set, SIGHUP);
    int signal = sigtimedwait(&set, NULL, &wait);
    return signal > 0 ? signal : 0;
}

int notify_wait(bool (*is_alive)(void *arg), void (*reload)(void *arg), void *arg)
{
    sigset_t set = handled();
    uint64_t watchdog_us = 0;
    bool has_watchdog = sd_watchdog_enabled(0, &watchdog_us) > 0;
    int64_t every_ms = has_watchdog && watchdog_us / 2000 < LOOK_EVERY_MS
                           ? (int64_t)(watchdog_us / 2000)
                           : LOOK_EVERY_MS;
    for (;;) {
        struct timespec wait = {every_ms / 1000, every_ms % 1000 * 1000000};
        int signal = sigtimedwait(&set, NULL, has_watchdog ? &wait : NULL);
        if (signal == SIGHUP) {
            answer_reload(reload, arg);
        } else if (signal > 0) {
            return signal;
        }
        if (has_watchdog && is_alive(arg)) {
            sd_notify(0, "WATCHDOG=1");
        }
    }
}
