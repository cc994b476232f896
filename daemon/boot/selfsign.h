/* SPDX-License-Identifier: Apache-2.0
 *
 * --auto-tls and --peer-auto-tls: certificates that sign themselves, in DATA_DIR/fixtures, for a
 * side that nobody gave one.
 */
#ifndef BOOT_SELFSIGN_H
#define BOOT_SELFSIGN_H

#include "config/config.h"

/* Puts the files' names into config, and is_self_signed. Errors: BAD_TLS, ABSENT, DENIED, IO. */
MUST struct err self_sign(struct config *config, struct why *why);

#endif
