/* SPDX-License-Identifier: Apache-2.0
 *
 * The other end of a pack: its files come to lie in a folder, DIR/<index>.files.<n>, that is a
 * whole store, and its name takes the place of a received database, DIR/<index>.snap.db: "ketcd
 * files\n", then the folder's name and a line feed. Each file is looked through while the next ones
 * come (arrival.c): a bit that was flipped on the sender's disk came along with a checksum that
 * fits.
 */
#include "base/codec.h"
#include "base/crc32c.h"
#include "snap/snap.h"
#include "snapshot/arrival.h"
#include "snapshot/dump.h"
#include "snapshot/inner.h"
#include "snapshot/pack.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    CACHE_BYTES = 1024 * 1024,
    ARRIVALS = 3, /* one comes, one waits for the disk, one is looked through */
};

struct snapshot_unpack {
    struct disk *disk;
    char *dir;
    char *folder;
    char *path; /* of the note that names the folder */
    uint64_t index;
    uint64_t term;
    uint8_t edge[PACK_HEAD]; /* a head or foot that has not wholly come */
    size_t edge_len;
    uint64_t left; /* of the bytes of the file at hand */
    uint32_t crc;
    size_t count;
    struct arrival arrivals[ARRIVALS];
    sem_t free; /* so many of them wait for a file */
    struct arrival *at_hand;
    bool is_over;
};

struct snapshot_unpack *snapshot_unpack_new(
    struct disk *disk, const char *dir, const struct raft_snapshot_meta *meta)
{
    static atomic_uint count;
    struct snapshot_unpack *unpack = mem_new(sizeof(*unpack));
    unpack->disk = disk;
    unpack->dir = mem_strdup(dir);
    unpack->index = meta->index;
    unpack->term = meta->term;
    unpack->folder = mem_printf(
        "%s/%016llx.files.%u", dir, (unsigned long long)meta->index, atomic_fetch_add(&count, 1));
    unpack->path = snap_received_path(dir, meta->index);
    check(sem_init(&unpack->free, 0, ARRIVALS) == 0);
    for (int i = 0; i < ARRIVALS; i++) {
        arrival_init(&unpack->arrivals[i], &unpack->free);
    }
    return unpack;
}

/* Files take their time: who comes next takes the place of whichever is done. */
static struct arrival *await_place(struct snapshot_unpack *unpack)
{
    while (sem_wait(&unpack->free) != 0) {
        check(errno == EINTR);
    }
    for (int i = 0; i < ARRIVALS; i++) {
        struct arrival *arrival = &unpack->arrivals[i];
        if (!arrival->has_thread || atomic_load(&arrival->has_ended)) {
            return arrival;
        }
    }
    check(false); /* there is one: they are counted */
    return NULL;
}

static struct err await_files(struct snapshot_unpack *unpack, struct why *why)
{
    struct err err = OK;
    for (int i = 0; i < ARRIVALS; i++) {
        struct err next = arrival_await(&unpack->arrivals[i], err_is(err) ? NULL : why);
        err = err_is(err) ? err : next;
    }
    return err;
}

void snapshot_unpack_free(struct snapshot_unpack *unpack, bool removes)
{
    if (!unpack) {
        return;
    }
    for (int i = 0; i < ARRIVALS; i++) {
        arrival_fini(&unpack->arrivals[i]);
    }
    sem_destroy(&unpack->free);
    if (removes) {
        struct err err = disk_remove_all(unpack->disk, unpack->folder, NULL);
        (void)err; /* the next start does it */
    }
    free(unpack->dir);
    free(unpack->folder);
    free(unpack->path);
    free(unpack);
}

static struct err begin_file(struct snapshot_unpack *unpack, const char *name, struct why *why)
{
    if (!backend_file_is_ours(name) || ++unpack->count > PACK_FILES_MAX) {
        return why_set(why, ERR(BAD_FORMAT), "a file in a received store that belongs to none");
    }
    if (unpack->count == 1) {
        TRY(disk_remove_all(unpack->disk, unpack->folder, why));
        TRY(disk_mkdir(unpack->disk, unpack->folder, 0700, why));
    }
    struct arrival *arrival = await_place(unpack);
    TRY(arrival_await(arrival, why));
    char *path = disk_path(unpack->folder, name);
    if (disk_exists(unpack->disk, path)) {
        free(path);
        return why_set(why, ERR(BAD_FORMAT), "a file comes twice in a received store");
    }
    TRY(arrival_begin(arrival, unpack->disk, path, unpack->left, why));
    unpack->crc = 0;
    unpack->at_hand = arrival;
    return OK;
}

static struct err take_head(struct snapshot_unpack *unpack, struct why *why)
{
    char name[PACK_NAME + 1] = "";
    if (crc32c(0, slice_of(unpack->edge, PACK_CRC_AT)) != get_be64(unpack->edge + PACK_CRC_AT)) {
        return why_set(why, ERR(BAD_CRC), "a head in a received store does not fit its checksum");
    }
    memcpy(name, unpack->edge + 8, PACK_NAME);
    unpack->left = get_be64(unpack->edge);
    if (!name[0] && unpack->left == 0) {
        unpack->is_over = true;
        return OK;
    }
    return begin_file(unpack, name, why);
}

static struct err take_foot(struct snapshot_unpack *unpack, struct why *why)
{
    if (get_be64(unpack->edge) != unpack->crc) {
        return why_set(why, ERR(BAD_CRC), "a file of a received store does not fit its checksum");
    }
    TRY(arrival_end(unpack->at_hand, why));
    unpack->at_hand = NULL;
    return OK;
}

/* Of a head, or of a foot where a file is open. */
static struct err take_edge(struct snapshot_unpack *unpack, struct slice *bytes, struct why *why)
{
    size_t needed = unpack->at_hand ? PACK_FOOT : PACK_HEAD;
    size_t len = needed - unpack->edge_len < bytes->len ? needed - unpack->edge_len : bytes->len;
    memcpy(unpack->edge + unpack->edge_len, bytes->data, len);
    unpack->edge_len += len;
    *bytes = slice_of(bytes->data + len, bytes->len - len);
    if (unpack->edge_len < needed) {
        return OK;
    }
    unpack->edge_len = 0;
    return unpack->at_hand ? take_foot(unpack, why) : take_head(unpack, why);
}

static struct err take_piece(struct snapshot_unpack *unpack, struct slice *bytes, struct why *why)
{
    size_t len = unpack->left < bytes->len ? (size_t)unpack->left : bytes->len;
    struct slice piece = slice_of(bytes->data, len);
    TRY(arrival_take(unpack->at_hand, piece, why));
    unpack->crc = crc32c(unpack->crc, piece);
    unpack->left -= len;
    *bytes = slice_of(bytes->data + len, bytes->len - len);
    return OK;
}

struct err snapshot_unpack_take(struct snapshot_unpack *unpack, struct slice bytes, struct why *why)
{
    while (bytes.len) {
        if (unpack->is_over) {
            return why_set(why, ERR(BAD_FORMAT), "bytes behind the end of a received store");
        }
        TRY(unpack->at_hand && unpack->left ? take_piece(unpack, &bytes, why)
                                            : take_edge(unpack, &bytes, why));
    }
    return OK;
}

/* It stands where the message says, and loses what concerned its sender alone. */
static struct err make_ours(struct snapshot_unpack *unpack, struct backend *store, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(store, NULL, SLICE("mconsistent_index"), &row, why));
    bool is_there = row && row->len == 16 && get_be64(row->data) == unpack->index &&
                    get_be64(row->data + 8) == unpack->term;
    blob_unref(row);
    if (!is_there) {
        return why_set(why, ERR(BAD_FORMAT),
            "a received store stands elsewhere than at index %llu of term %llu",
            (unsigned long long)unpack->index, (unsigned long long)unpack->term);
    }
    struct backend_batch *batch = backend_batch_new();
    backend_batch_delete(batch, SLICE("madopted"));
    backend_batch_delete(batch, SLICE("minstalling"));
    backend_batch_delete(batch, SLICE("mrestored"));
    struct err err = backend_write(store, batch, why);
    backend_batch_free(batch);
    return err_is(err) ? err : backend_flush(store, why);
}

bool snapshot_is_store(struct disk *disk, const char *folder)
{
    char *current = disk_path(folder, "CURRENT");
    bool is_store = disk_exists(disk, current);
    free(current);
    return is_store;
}

/* That it opens is seen before anyone gives up a store for it. */
static struct err try_store(
    struct snapshot_unpack *unpack, const struct snapshot_check *check, struct why *why)
{
    struct backend_options options = {
        .path = unpack->folder, .block_cache_bytes = CACHE_BYTES, .is_received = true};
    struct backend *store;
    if (!snapshot_is_store(unpack->disk, unpack->folder)) {
        return why_set(why, ERR(BAD_FORMAT), "files have come that are no store");
    }
    TRY(backend_open(&options, &store, why));
    struct err err = make_ours(unpack, store, why);
    if (!err_is(err) && check->store) {
        err = check->store(check->arg, store, why);
    }
    backend_close(store);
    return err;
}

struct err snapshot_unpack_end(
    struct snapshot_unpack *unpack, const struct snapshot_check *check, struct why *why)
{
    if (!unpack->is_over) {
        return why_set(why, ERR(TORN), "unexpected EOF");
    }
    TRY(await_files(unpack, why));
    TRY(try_store(unpack, check, why));
    TRY(disk_sync_folder(unpack->disk, unpack->folder, why));
    TRY(disk_sync_folder(unpack->disk, unpack->dir, why));
    char *note = mem_printf("%s%s\n", SNAPSHOT_FILES_NOTE, strrchr(unpack->folder, '/') + 1);
    struct err err = note_write(unpack->disk, unpack->path, slice_str(note), why);
    free(note);
    return err;
}

/* "<index>.files.<n>", as a receiver names them: what came as a database may say anything. */
static bool is_folder_name(struct slice name, uint64_t index)
{
    char head[32];
    snprintf(head, sizeof(head), "%016llx.files.", (unsigned long long)index);
    if (!slice_has_prefix(name, slice_str(head)) || name.len == strlen(head)) {
        return false;
    }
    for (size_t i = strlen(head); i < name.len; i++) {
        if (name.data[i] < '0' || name.data[i] > '9') {
            return false;
        }
    }
    return true;
}

char *snapshot_files_folder(struct disk *disk, const char *dir, uint64_t index)
{
    enum { NOTE_MAX = 256 };
    uint8_t note[NOTE_MAX];
    size_t got = 0;
    struct disk_file *file;
    struct slice head = slice_str(SNAPSHOT_FILES_NOTE);
    char *path = snap_received_path(dir, index);
    struct err err = disk_open(disk, path, DISK_READ, 0, &file, NULL);
    free(path);
    if (err_is(err)) {
        return NULL;
    }
    err = disk_read(file, 0, note, sizeof(note), &got, NULL);
    disk_close(file);
    if (err_is(err) || got < head.len + 2 || !slice_has_prefix(slice_of(note, got), head) ||
        note[got - 1] != '\n') {
        return NULL;
    }
    struct slice name = slice_of(note + head.len, got - head.len - 1);
    return is_folder_name(name, index)
               ? mem_printf("%s/%.*s", dir, (int)name.len, (const char *)name.data)
               : NULL;
}
