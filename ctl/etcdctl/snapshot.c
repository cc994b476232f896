/* SPDX-License-Identifier: Apache-2.0
 *
 * The stream is the member's bbolt file with its SHA-256 behind; it is written to a .part file,
 * synced and renamed, so that a file of the wanted name is always whole. */
#include "etcdctl.h"
#include "moved.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { SECTOR = 512, DIGEST = 32 };

static struct err write_all(int fd, ProtobufCBinaryData bytes, const char *path, struct why *why)
{
    char words[TEXT_ERRNO_SIZE];
    size_t done = 0;

    while (done < bytes.len) {
        ssize_t wrote = write(fd, bytes.data + done, bytes.len - done);
        if (wrote < 0 && errno != EINTR) {
            return why_set(why, ERR(IO), "could not write snapshot: write %s: %s", path,
                text_errno(errno, words));
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return OK;
}

struct download {
    const char *endpoint;
    client_deadline deadline;
    uint64_t size;
    char version[32]; /* "" from servers before 3.6 */
};

static struct err receive(
    struct client_stream *stream, int fd, const char *path, struct download *out, struct why *why)
{
    for (bool is_first = true;; is_first = false) {
        const Etcdserverpb__SnapshotResponse *part;
        struct arena *arena = arena_new(0);
        struct why inner;
        struct err err = client_stream_recv(stream, arena, &part, &inner);
        bool is_end = !err_is(err) && !part;
        if (err_is(err)) {
            err = why_set(why, err, is_first ? "%s" : "could not write snapshot: %s", inner.text);
        } else if (!is_end) {
            if (*part->version) {
                snprintf(out->version, sizeof(out->version), "%s", part->version);
            }
            out->size += part->blob.len;
            err = write_all(fd, part->blob, path, why);
        }
        arena_free(arena);
        if (err_is(err) || is_end) {
            return err;
        }
    }
}

static struct err finish(
    int fd, const struct download *got, const char *part, const char *path, struct why *why)
{
    char words[TEXT_ERRNO_SIZE];

    if (got->size % SECTOR != DIGEST) {
        return why_set(why, ERR(BAD_FORMAT), "sha256 checksum not found [bytes: %llu]",
            (unsigned long long)got->size);
    }
    if (fsync(fd) != 0) {
        return why_set(
            why, ERR(IO), "could not fsync snapshot: sync %s: %s", part, text_errno(errno, words));
    }
    if (rename(part, path) != 0) {
        return why_set(why, ERR(IO), "could not rename %s to %s (rename %s %s: %s)", part, path,
            part, path, text_errno(errno, words));
    }
    return OK;
}

static struct err save(
    struct cmd_run *run, struct client *client, struct download *got, struct why *why)
{
    const char *path = run->args[0];
    const char *part = arena_printf(run->arena, "%s.part", path);
    struct client_stream *stream = NULL;
    char size[GOTEXT_SIZE], words[TEXT_ERRNO_SIZE];

    REQUEST(SnapshotRequest, snapshot_request, request);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return why_set(
            why, ERR(IO), "could not open %s (open %s: %s)", part, part, text_errno(errno, words));
    }
    LOG_INFO("created temporary db file", LOG_STR("path", part));
    int64_t start = clock_mono_ns();
    struct err err =
        client_stream_open(client, CLIENT_ASK(&client_snapshot, NULL, got->deadline), &stream, why);
    if (!err_is(err)) {
        err = client_stream_send(stream, &request, why);
    }
    if (!err_is(err)) {
        client_stream_done(stream);
        LOG_INFO("opened snapshot stream; downloading");
        LOG_INFO("fetching snapshot", LOG_STR("endpoint", got->endpoint));
        err = receive(stream, fd, part, got, why);
    }
    if (!err_is(err)) {
        LOG_INFO("completed snapshot read; closing");
        err = finish(fd, got, part, path, why);
    }
    if (!err_is(err)) {
        LOG_INFO("fetched snapshot", LOG_STR("endpoint", got->endpoint),
            LOG_STR("size", gotext_bytes(got->size, size)), LOG_NS("took", clock_mono_ns() - start),
            LOG_STR("etcd-version", got->version));
        LOG_INFO("saved", LOG_STR("path", path));
    }
    client_stream_close(stream);
    close(fd);
    if (err_is(err)) {
        unlink(part);
    }
    return err;
}

/* No deadline, unless --command-timeout was given: a large store takes its time. */
static int snapshot_save(struct cmd_run *run)
{
    struct client_config config;
    struct printer printer;
    struct client *client;
    struct download got = {.version = ""};
    enum client_stage stage;
    struct why why;

    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "snapshot save expects one argument <filename>");
    }
    int code = ctl_configure(run, &config, &printer);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    if (config.endpoints_count != 1) {
        return cmd_fail(CMD_EXIT_INTERRUPTED,
            "snapshot must be requested to one selected node, not multiple %s",
            ctl_endpoint_list(run->arena, &config));
    }
    config.logger = "client";
    if (err_is(client_open(&config, &client, &stage, &why))) {
        return cmd_fail(
            stage == CLIENT_BAD_CONFIG ? CMD_EXIT_BAD_ARGS : CMD_EXIT_INTERRUPTED, "%s", why.text);
    }
    got.endpoint = config.endpoints[0];
    const struct cmd_value *timeout = cmd_value(run, "command-timeout");
    got.deadline = timeout->is_changed || timeout->is_from_env ? ctl_deadline(run) : 0;
    struct err err = save(run, client, &got, &why);
    client_close(client);
    if (err_is(err)) {
        return cmd_fail(CMD_EXIT_INTERRUPTED, "%s", why.text);
    }
    printf("Snapshot saved at %s\n", run->args[0]);
    if (*got.version) {
        printf("Server version %s\n", got.version);
    }
    return CMD_EXIT_OK;
}

static const char example[] =
    "  # Save snapshot to a given file\n"
    "  etcdctl snapshot save /backup/etcd-snapshot.db\n"
    "  \n"
    "  # Get snapshot from given address and save it to file\n"
    "  etcdctl snapshot save --endpoints=127.0.0.1:3000 /backup/etcd-snapshot.db\n"
    "  \n"
    "  # Get snapshot from given address with certificates\n"
    "  etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt "
    "--cert=/etc/etcd/etcd.crt "
    "--key=/etc/etcd/etcd.key snapshot save /backup/etcd-snapshot.db\n"
    "  \n"
    "  # Get snapshot wih certain user and password\n"
    "  etcdctl --user=root --password=password123 snapshot save /backup/etcd-snapshot.db\n"
    "  \n"
    "  # Get snapshot from given address with timeout\n"
    "  etcdctl --endpoints=https://127.0.0.1:2379 --dial-timeout=20s snapshot save "
    "/backup/etcd-snapshot.db\n"
    "  \n"
    "  # Save snapshot with desirable time format\n"
    "  etcdctl snapshot save /mnt/backup/etcd/backup_$(date +%Y%m%d_%H%M%S).db";

static const struct cmd save_cmd = {
    .use = "save <filename>",
    .brief = "Stores an etcd node backend snapshot to a given file",
    .example = example,
    .run = snapshot_save,
};
static const struct cmd *const children[] = {&moved_restore, &save_cmd, &moved_status, NULL};
const struct cmd cmd_snapshot = {
    .use = "snapshot <subcommand>",
    .brief = "Manages etcd node snapshots",
    .example = example,
    .children = children,
};
