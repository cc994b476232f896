/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

const struct cmd cmd_completion = CMD_COMPLETION("etcdctl");
