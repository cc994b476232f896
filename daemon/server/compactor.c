/* SPDX-License-Identifier: Apache-2.0
 *
 * --auto-compaction: by revision, every five minutes down to the newest `retention` ones; by time,
 * revisions that were current a retention ago, every retention or hour, whichever is shorter, as
 * etcd does.
 */
#include "server/parts.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    FIELD_COMPACTION = 7,
    REVISION_EVERY_MS = 5 * 60 * 1000,
    HOUR_MS = 60 * 60 * 1000,
    SAMPLES_A_PERIOD = 10,
    SAMPLES_MAX = 4096,
};

struct sample {
    int64_t at_ms;
    revision rev;
};

struct compactor {
    enum server_compaction mode;
    int64_t retention;
    int64_t sample_at_ms;
    int64_t sample_every_ms;
    int64_t compact_at_ms;
    int64_t compact_every_ms;
    revision last;
    struct sample samples[SAMPLES_MAX]; /* oldest first */
    size_t count;
};

struct compactor *compactor_new(const struct server_options *options)
{
    int64_t now_ms = clock_mono_ms();
    struct compactor *compactor = mem_new(sizeof(*compactor));
    compactor->mode =
        options->compaction_retention > 0 ? options->compaction_mode : SERVER_COMPACTION_OFF;
    compactor->retention = options->compaction_retention;
    if (compactor->mode == SERVER_COMPACTION_PERIODIC) {
        int64_t period_ms = compactor->retention < HOUR_MS ? compactor->retention : HOUR_MS;
        compactor->compact_every_ms = period_ms;
        compactor->sample_every_ms = period_ms / SAMPLES_A_PERIOD;
        /* A long retention must fit the samples. */
        while (compactor->retention / (compactor->sample_every_ms + 1) > SAMPLES_MAX / 2) {
            compactor->sample_every_ms *= 2;
        }
        compactor->compact_at_ms = now_ms + compactor->retention;
    } else {
        compactor->compact_every_ms = REVISION_EVERY_MS;
        compactor->compact_at_ms = now_ms + REVISION_EVERY_MS;
    }
    return compactor;
}

void compactor_free(struct compactor *compactor)
{
    free(compactor);
}

static void compact_to(struct server *server, struct compactor *compactor, revision rev)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    if (rev <= 0 || rev == compactor->last || !atomic_load(&server->is_leader)) {
        return;
    }
    LOG_INFO("starting auto compaction", LOG_INT("revision", rev));
    request.revision = rev;
    compactor->last = rev;
    leader_propose(server, FIELD_COMPACTION, &request.base);
}

static void take_sample(struct server *server, struct compactor *compactor, int64_t now_ms)
{
    if (compactor->mode != SERVER_COMPACTION_PERIODIC || now_ms < compactor->sample_at_ms) {
        return;
    }
    compactor->sample_at_ms = now_ms + compactor->sample_every_ms;
    if (compactor->count == SAMPLES_MAX) {
        memmove(compactor->samples, compactor->samples + 1,
            --compactor->count * sizeof(*compactor->samples));
    }
    compactor->samples[compactor->count++] =
        (struct sample){now_ms, mvcc_revision(server->options.mvcc)};
}

/* The newest sample that is at least a retention old; those before it are dropped. */
static revision rev_a_retention_ago(struct compactor *compactor, int64_t now_ms)
{
    size_t old = 0;
    while (
        old < compactor->count && compactor->samples[old].at_ms <= now_ms - compactor->retention) {
        old++;
    }
    if (old == 0) {
        return 0;
    }
    revision rev = compactor->samples[old - 1].rev;
    compactor->count -= old;
    memmove(compactor->samples, compactor->samples + old,
        compactor->count * sizeof(*compactor->samples));
    return rev;
}

void compactor_tick(struct server *server, struct compactor *compactor, int64_t now_ms)
{
    if (compactor->mode == SERVER_COMPACTION_OFF) {
        return;
    }
    take_sample(server, compactor, now_ms);
    if (now_ms < compactor->compact_at_ms) {
        return;
    }
    compactor->compact_at_ms = now_ms + compactor->compact_every_ms;
    if (compactor->mode == SERVER_COMPACTION_PERIODIC) {
        compact_to(server, compactor, rev_a_retention_ago(compactor, now_ms));
    } else {
        compact_to(server, compactor, mvcc_revision(server->options.mvcc) - compactor->retention);
    }
}
