/* SPDX-License-Identifier: Apache-2.0
 *
 * The door: what command line tools of this tree share. Commands and options as tables (cmd.h),
 * Go's ways to print (gotext.h, gojson.h, grid.h), an etcd client (client.h), responses in every -w
 * format (print.h), and the lines that txn and watch read (lines.h).
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "ctl/lib/client.h"
#include "ctl/lib/cmd.h"
#include "ctl/lib/complete.h"
#include "ctl/lib/gojson.h"
#include "ctl/lib/gotext.h"
#include "ctl/lib/grid.h"
#include "ctl/lib/lines.h"
#include "ctl/lib/prefix.h"
#include "ctl/lib/print.h"
#include "ctl/lib/stream.h"
#include "ctl/lib/target.h"
#include "ctl/lib/watch_args.h"

#endif
