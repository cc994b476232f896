/* SPDX-License-Identifier: Apache-2.0
 *
 * Who wants a leader behind its stream is told when there is none for long. As in etcd one look an
 * election timeout, three in a row: a stream that is begun anew costs more than one refused. What
 * counts is looks and not time, so that a member that stood still looks again before it says so.
 */
#include "server/leaderless.h"

enum { LOOKS = 3 };

void server_on_leaderless(struct server *server, void (*fn)(void *arg), void *arg)
{
    server->on_leaderless_arg = arg;
    atomic_store(&server->on_leaderless, fn);
}

void leaderless_tick(struct server *server, struct leaderless *leaderless, int64_t now_ms)
{
    void (*fn)(void *arg) = atomic_load(&server->on_leaderless);
    if (now_ms < leaderless->look_at_ms) {
        return;
    }
    leaderless->look_at_ms = now_ms + server->options.tick_ms * server->options.election_ticks;
    leaderless->looks = atomic_load(&server->leader) ? 0 : leaderless->looks + 1;
    if (leaderless->looks >= LOOKS && fn) {
        fn(server->on_leaderless_arg);
    }
}
