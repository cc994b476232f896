/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/etcdutl/command.h"

const struct cmd cmd_utl_completion = CMD_COMPLETION("etcdutl");
