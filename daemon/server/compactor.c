/* SPDX-License-Identifier: Apache-2.0
 *
 * --auto-compaction: by revision, every five minutes down to the newest `retention` ones; by time,
 * revisions that were current a retention ago, every retention or hour, whichever is shorter, as
 * etcd does. What failed is tried again, and who does not lead looks whether it does by now, a
 * tenth of that later; by revision, at the next five minutes.
 */
#include "server/compactor.h"
#include "server/parts.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    REVISION_EVERY_MS = 5 * 60 * 1000,
    HOUR_MS = 60 * 60 * 1000,
    RETRIES_A_PERIOD = 10,
    SAMPLES_MAX = 4096,
};

struct sample {
    int64_t at_ms;
    revision rev;
};

enum progress { IDLE, UNDER_WAY, ENDED };

struct compactor {
    enum server_compaction mode;
    int64_t retention;
    int64_t sample_at_ms;
    int64_t sample_every_ms;
    int64_t compact_at_ms;
    int64_t compact_every_ms;
    int64_t retry_every_ms;
    revision last; /* that succeeded */
    revision goal; /* the one proposed, and when: by the tick's clock, by the machine's */
    int64_t began_ms;
    int64_t began_ns;
    _Atomic enum progress progress; /* of that; ENDED: what follows is there */
    int64_t ended_ns;
    struct err err;
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
        compactor->retry_every_ms = period_ms / RETRIES_A_PERIOD;
        compactor->sample_every_ms = compactor->retry_every_ms;
        /* A long retention must fit the samples. */
        while (compactor->retention / (compactor->sample_every_ms + 1) > SAMPLES_MAX / 2) {
            compactor->sample_every_ms *= 2;
        }
        compactor->compact_at_ms = now_ms + compactor->retention;
    } else {
        compactor->compact_every_ms = compactor->retry_every_ms = REVISION_EVERY_MS;
        compactor->compact_at_ms = now_ms + REVISION_EVERY_MS;
    }
    return compactor;
}

void compactor_free(struct compactor *compactor)
{
    free(compactor);
}

static bool is_periodic(const struct compactor *compactor)
{
    return compactor->mode == SERVER_COMPACTION_PERIODIC;
}

static struct log_field retention_field(const struct compactor *compactor)
{
    return is_periodic(compactor) ? LOG_MS("compact-period", compactor->retention)
                                  : LOG_INT("revision-compaction-retention", compactor->retention);
}

static void begin(struct server *server, struct compactor *compactor, revision rev, int64_t now_ms)
{
    LOG_INFO(is_periodic(compactor) ? "starting auto periodic compaction"
                                    : "starting auto revision compaction",
        LOG_INT("revision", rev), retention_field(compactor));
    compactor->goal = rev;
    compactor->began_ms = now_ms;
    compactor->began_ns = clock_mono_ns();
    atomic_store(&compactor->progress, UNDER_WAY);
    leader_compact(server, rev, compactor);
}

void compactor_told(struct compactor *compactor, struct err err)
{
    compactor->err = err;
    compactor->ended_ns = clock_mono_ns();
    atomic_store(&compactor->progress, ENDED);
}

/* Whether somebody else compacted as far does not matter. */
static void note_end(struct compactor *compactor, int64_t now_ms)
{
    if (atomic_load(&compactor->progress) != ENDED) {
        return;
    }
    atomic_store(&compactor->progress, IDLE);
    if (err_is(compactor->err) && !IS(compactor->err, COMPACTED)) {
        LOG_WARN(is_periodic(compactor) ? "failed auto periodic compaction"
                                        : "failed auto revision compaction",
            LOG_INT("revision", compactor->goal), retention_field(compactor),
            LOG_MS("retry-interval", compactor->retry_every_ms), LOG_ERR(err_text(compactor->err)));
        compactor->compact_at_ms = now_ms + compactor->retry_every_ms;
        return;
    }
    LOG_INFO(is_periodic(compactor) ? "completed auto periodic compaction"
                                    : "completed auto revision compaction",
        LOG_INT("revision", compactor->goal), retention_field(compactor),
        LOG_NS("took", compactor->ended_ns - compactor->began_ns));
    compactor->last = compactor->goal;
    compactor->compact_at_ms = compactor->began_ms + compactor->compact_every_ms;
}

static void take_sample(struct server *server, struct compactor *compactor, int64_t now_ms)
{
    if (!is_periodic(compactor) || now_ms < compactor->sample_at_ms) {
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

/* The newest sample that is at least a retention old; those before it are dropped, it may be asked
 * for again. */
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
    compactor->count -= old - 1;
    memmove(compactor->samples, compactor->samples + old - 1,
        compactor->count * sizeof(*compactor->samples));
    return compactor->samples[0].rev;
}

void compactor_tick(struct server *server, struct compactor *compactor, int64_t now_ms)
{
    if (compactor->mode == SERVER_COMPACTION_OFF) {
        return;
    }
    take_sample(server, compactor, now_ms);
    note_end(compactor, now_ms);
    if (now_ms < compactor->compact_at_ms || atomic_load(&compactor->progress) == UNDER_WAY) {
        return;
    }
    revision rev = is_periodic(compactor)
                       ? rev_a_retention_ago(compactor, now_ms)
                       : mvcc_revision(server->options.mvcc) - compactor->retention;
    if (rev > 0 && rev != compactor->last && atomic_load(&server->is_leader)) {
        begin(server, compactor, rev, now_ms);
    } else {
        compactor->compact_at_ms = now_ms + compactor->retry_every_ms;
    }
}
