/* SPDX-License-Identifier: Apache-2.0
 *
 * What the table's changes write, in the caller's batch. member_load reads it.
 */
#ifndef MEMBER_ROWS_H
#define MEMBER_ROWS_H

#include "member/member.h"

void rows_put_member(const struct member *member, struct backend_batch *batch);
/* And the member's own row goes. */
void rows_put_removed(uint64_t id, struct backend_batch *batch);
void rows_put_version(const char *version, struct backend_batch *batch);
/* "": none. */
void rows_put_downgrade(const char *target, struct backend_batch *batch);

#endif
