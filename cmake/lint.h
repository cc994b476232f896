/* SPDX-License-Identifier: Apache-2.0
 *
 * Before every file of the lint preset. clang's analyzer sees one file at a time and takes it for
 * possible that these give OK; that they never do is said to it here. */
#include "base/err.h"

#define why_set(why, e, ...) ((void)why_set((why), (e), __VA_ARGS__), (e))
#define why_errno(why, sys_errno, ...) ((void)why_errno((why), (sys_errno), __VA_ARGS__), ERR(IO))
