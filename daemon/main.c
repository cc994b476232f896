/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd: the member, or a proxy in front of members.
 */
#include "boot/boot.h"
#include "config/config.h"
#include "tcpproxy/tcpproxy.h"

#include "base/log.h"

#include <sys/resource.h>

extern char **environ;

/* Read by jemalloc. Its own thread gives back what a large answer or a merge left, seconds later;
 * without it that happens only when the thread that freed allocates again. */
extern __attribute__((visibility("default"))) const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:3000,muzzy_decay_ms:0";

/* As Go's runtime does at its start: a service manager's soft limit of 1024 is for programs that
 * use select. */
static void take_all_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    take_all_descriptors();
    struct config_source source = {.argc = argc, .argv = argv, .environ = environ};
    struct config config;
    int status = 0;
    if (tcpproxy_is_asked(argc, argv)) {
        return tcpproxy_main(argc, argv);
    }
    if (!config_start(&source, &config, &status)) {
        return status;
    }
    status = boot_run(&config);
    config_fini(&config);
    log_close();
    return status;
}
