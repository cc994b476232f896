/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"
#include "ctl/etcdutl/command.h"

static int version(struct cmd_run *run)
{
    (void)run;
    printf("etcdutl version: %s\nAPI version: %s\n", KETCD_ETCD_VERSION, "3.6");
    return CMD_EXIT_OK;
}

const struct cmd cmd_version = {
    .use = "version",
    .brief = "Prints the version of etcdutl",
    .run = version,
};
