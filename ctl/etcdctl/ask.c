/* SPDX-License-Identifier: Apache-2.0
 *
 * A password at the terminal, which gets its echo back whatever ends the question. */
#include "etcdctl.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

enum { EXIT_STOPPED = 255 }; /* as etcdctl's when a signal ends the question */

static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

static struct termios before; /* read by the signal handler */

static void stop(int which)
{
    (void)which;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    _exit(EXIT_STOPPED);
}

static void take_echo(struct sigaction *out_actions)
{
    struct sigaction action = {.sa_handler = stop};
    struct termios silent = before;

    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        (void)sigaction(signals[i], &action, &out_actions[i]);
    }
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &silent);
}

static void give_echo(const struct sigaction *actions)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        (void)sigaction(signals[i], &actions[i], NULL);
    }
}

const char *ctl_ask(struct arena *arena, const char *prompt)
{
    struct sigaction actions[COUNT_OF(signals)];
    bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    char line[1024] = "";

    if (is_terminal) {
        take_echo(actions);
    }
    printf("%s", prompt);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin)) {
        line[0] = '\0';
    }
    printf("\n");
    if (is_terminal) {
        give_echo(actions);
    }
    line[strcspn(line, "\r\n")] = '\0';
    return arena_strdup(arena, line);
}
