/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that etcdutl does now.
 */
#ifndef ETCDCTL_MOVED_H
#define ETCDCTL_MOVED_H

#include "ctl/lib/ctl.h"

/* Under "snapshot". */
extern const struct cmd moved_status, moved_restore;
/* defrag --data-dir. Gives an exit code, when it comes back. */
int moved_defrag(struct cmd_run *run);

#endif
