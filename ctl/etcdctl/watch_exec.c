/* SPDX-License-Identifier: Apache-2.0
 *
 * The command behind "--", run once an event with ETCD_WATCH_* in its environment. */
#include "watch_exec.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { SIGNALED = 255 };

static char *variable(struct arena *arena, const char *name, struct slice value)
{
    struct buf buf;

    buf_init(&buf, SIZE_MAX);
    buf_printf(&buf, "%s=", name);
    gotext_quote(&buf, value);
    char *text = arena_strdup(arena, buf_text(&buf));
    buf_fini(&buf);
    return text;
}

static size_t count_of(char *const *variables)
{
    size_t count = 0;

    while (variables[count]) {
        count++;
    }
    return count;
}

static bool has_name(char *const *variables, const char *variable)
{
    size_t len = strcspn(variable, "=");
    bool is_there = false;

    for (; *variables && !is_there; variables++) {
        is_there = strncmp(*variables, variable, len) == 0 && (*variables)[len] == '=';
    }
    return is_there;
}

/* A name that stands there twice has one value for getenv and another one for some shells. */
char **exec_environment(struct arena *arena, char *const *variables, bool keeps_inherited)
{
    char *const *const lists[] = {environ, variables};
    size_t count = count_of(environ) + count_of(variables), kept = 0;
    char **env = arena_zalloc(arena, (count + 1) * sizeof(*env));

    for (size_t list = 0; list < COUNT_OF(lists); list++) {
        bool gives_way = (list == 0) != keeps_inherited;
        for (char *const *at = lists[list]; *at; at++) {
            if (!gives_way || !has_name(lists[1 - list], *at)) {
                env[kept++] = *at;
            }
        }
    }
    return env;
}

static char **environment(struct arena *arena, int64_t revision, const Mvccpb__Event *event)
{
    bool is_put = event->type == MVCCPB__EVENT__EVENT_TYPE__PUT;
    char *variables[] = {
        arena_printf(arena, "ETCD_WATCH_REVISION=%lld", (long long)revision),
        variable(arena, "ETCD_WATCH_EVENT_TYPE", slice_str(is_put ? "PUT" : "DELETE")),
        variable(arena, "ETCD_WATCH_KEY", pb_slice(event->kv->key)),
        variable(arena, "ETCD_WATCH_VALUE", pb_slice(event->kv->value)),
        NULL,
    };

    return exec_environment(arena, variables, false);
}

static const char *ending(struct arena *arena, int status)
{
    if (WIFSIGNALED(status)) {
        char *name = arena_strdup(arena, strsignal(WTERMSIG(status)));
        name[0] = (char)tolower((unsigned char)name[0]);
        return arena_printf(arena, "signal: %s", name);
    }
    return arena_printf(arena, "exit status %d", WEXITSTATUS(status));
}

static const char *not_started(struct arena *arena, const char *command, int failed)
{
    char words[TEXT_ERRNO_SIZE];

    if (failed == ENOENT && !strchr(command, '/')) {
        return arena_printf(arena, "exec: \"%s\": executable file not found in $PATH", command);
    }
    return arena_printf(arena, "fork/exec %s: %s", command, text_errno(failed, words));
}

static void explain(char *const *exec, const char *problem)
{
    fprintf(stderr, "command [");
    for (size_t i = 0; exec[i]; i++) {
        fprintf(stderr, i ? " " : "");
        gotext_print_quoted(stderr, slice_str(exec[i]));
    }
    fprintf(stderr, "] error (%s)\n", problem);
}

int exec_wait(struct arena *arena, char *const *exec, char *const *env, const char **out_problem)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    int status = 0;
    pid_t pid;

    fflush(stdout);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    int failed = posix_spawnp(&pid, exec[0], &files, &attributes, exec, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (failed) {
        *out_problem = not_started(arena, exec[0], failed);
        return CMD_EXIT_ERROR;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status) {
        *out_problem = ending(arena, status);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALED;
}

bool watch_exec(char *const *exec, int64_t revision, const Mvccpb__Event *event)
{
    struct arena *arena = arena_new(0);
    const char *problem = NULL;

    (void)exec_wait(arena, exec, environment(arena, revision, event), &problem);
    if (problem) {
        explain(exec, problem);
    }
    arena_free(arena);
    return !problem;
}
