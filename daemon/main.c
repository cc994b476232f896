/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd: the member.
 */
#include "boot/boot.h"
#include "config/config.h"

#include "base/log.h"

extern char **environ;

int main(int argc, char **argv)
{
    struct config_source source = {.argc = argc, .argv = argv, .environ = environ};
    struct config config;
    int status = 0;
    if (!config_start(&source, &config, &status)) {
        return status;
    }
    status = boot_run(&config);
    config_fini(&config);
    log_close();
    return status;
}
