/* SPDX-License-Identifier: Apache-2.0
 *
 * When a lease is renewed: after a third of its time, or soon again where there was no answer.
 */
#ifndef ETCDCTL_RENEWAL_H
#define ETCDCTL_RENEWAL_H

#include <stdint.h>

/* When a lease that was renewed now, for ttl seconds, is over; on the monotonic clock, in ns. */
int64_t renewal_deadline(int64_t ttl);
/* Waits until a lease of ttl seconds, renewed now, is to be renewed again. 0 and below: there was
 * no answer. */
void renewal_wait(int64_t ttl);

#endif
