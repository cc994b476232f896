/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/log.h"
#include "ctl/etcdutl/etcdutl.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    static const char *const outputs[] = {"stderr", NULL};
    struct log_options log = {LOG_LEVEL_INFO, LOG_FORMAT_CONSOLE, outputs, NULL};
    struct why why;
    if (argc < 1 || err_is(log_open(&log, &why))) {
        return EXIT_FAILURE;
    }
    int code = etcdutl_run(argc, argv);
    log_close();
    return code;
}
