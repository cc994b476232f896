/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that etcdutl does now, or nobody any more.
 */
#ifndef ETCDCTL_MOVED_H
#define ETCDCTL_MOVED_H

#include "ctl/lib/ctl.h"

/* Of keys of the v2 API, until 3.4: says what to do instead. */
extern const struct cmd moved_migrate;
/* Under "snapshot". */
extern const struct cmd moved_status, moved_restore;
/* defrag --data-dir. Gives an exit code, when it comes back. */
int moved_defrag(struct cmd_run *run);

#endif
