/* SPDX-License-Identifier: Apache-2.0
 * Bytes go from the file into the caller's memory at once: nothing is gathered on the way. */
#include "snapshot/pack.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>

struct packed {
    char *path;
    const char *name; /* within path */
    uint64_t bytes;
};

struct pack {
    struct disk *disk;
    char *folder;
    struct packed *files;
    size_t count;
    size_t at;              /* the file at hand; count: the end's head */
    struct disk_file *file; /* of it, while its bytes are read */
    uint64_t offset;
    uint32_t crc;
    uint8_t edge[PACK_HEAD]; /* a head or a foot, on its way */
    size_t edge_len;
    size_t edge_sent;
    bool is_over;
};

static void add_file(struct pack *pack, const char *name, uint64_t bytes)
{
    pack->files = mem_grow(pack->files, (pack->count + 1) * sizeof(*pack->files));
    char *path = disk_path(pack->folder, name);
    pack->files[pack->count++] = (struct packed){path, strrchr(path, '/') + 1, bytes};
}

static struct err list_files(struct pack *pack, struct why *why)
{
    struct disk_names names;
    struct disk_stat stat;
    struct err err = OK;
    TRY(disk_list(pack->disk, pack->folder, &names, why));
    for (size_t i = 0; i < names.count && !err_is(err); i++) {
        if (!backend_file_is_ours(names.names[i])) {
            continue;
        }
        check(strlen(names.names[i]) < PACK_NAME);
        char *path = disk_path(pack->folder, names.names[i]);
        err = disk_stat(pack->disk, path, &stat, why);
        if (!err_is(err)) {
            add_file(pack, names.names[i], stat.bytes);
        }
        free(path);
    }
    disk_names_fini(&names);
    return err;
}

static void set_head(struct pack *pack)
{
    const struct packed *packed = pack->at < pack->count ? &pack->files[pack->at] : NULL;
    memset(pack->edge, 0, sizeof(pack->edge));
    if (packed) {
        put_be64(pack->edge, packed->bytes);
        memcpy(pack->edge + 8, packed->name, strlen(packed->name));
    }
    put_be64(pack->edge + PACK_CRC_AT, crc32c(0, slice_of(pack->edge, PACK_CRC_AT)));
    pack->edge_len = PACK_HEAD;
    pack->edge_sent = 0;
}

struct err pack_new(
    struct disk *disk, const char *dir, struct backend *backend, struct pack **out, struct why *why)
{
    static atomic_uint count;
    struct pack *pack = mem_new(sizeof(*pack));
    pack->disk = disk;
    pack->folder = mem_printf("%s/tmp.files.%u", dir, atomic_fetch_add(&count, 1));
    struct err err = disk_remove_all(disk, pack->folder, why);
    if (!err_is(err)) {
        err = backend_checkpoint(backend, pack->folder, why);
    }
    if (!err_is(err)) {
        err = list_files(pack, why);
    }
    if (!err_is(err) && pack->count > PACK_FILES_MAX) {
        err = why_set(why, ERR(TOO_BIG), "a store of more than %d files", PACK_FILES_MAX);
    }
    if (err_is(err)) {
        pack_free(pack);
        return err;
    }
    set_head(pack);
    *out = pack;
    return OK;
}

void pack_free(struct pack *pack)
{
    if (!pack) {
        return;
    }
    struct err err = disk_remove_all(pack->disk, pack->folder, NULL);
    (void)err; /* the next start does it */
    disk_close(pack->file);
    for (size_t i = 0; i < pack->count; i++) {
        free(pack->files[i].path);
    }
    free(pack->files);
    free(pack->folder);
    free(pack);
}

uint64_t pack_bytes(const struct pack *pack)
{
    uint64_t bytes = PACK_HEAD;
    for (size_t i = 0; i < pack->count; i++) {
        bytes += PACK_HEAD + pack->files[i].bytes + PACK_FOOT;
    }
    return bytes;
}

/* The head or foot was sent: what comes next. */
static struct err turn(struct pack *pack, struct why *why)
{
    if (pack->file) { /* that was its foot */
        disk_close(pack->file);
        pack->file = NULL;
        pack->at++;
        set_head(pack);
        return OK;
    }
    pack->edge_len = pack->edge_sent = 0;
    if (pack->at == pack->count) {
        pack->is_over = true;
        return OK;
    }
    pack->offset = 0;
    pack->crc = 0;
    return disk_open(pack->disk, pack->files[pack->at].path, DISK_READ, 0, &pack->file, why);
}

static struct err read_file(
    struct pack *pack, void *out, size_t size, size_t *out_got, struct why *why)
{
    const struct packed *packed = &pack->files[pack->at];
    uint64_t left = packed->bytes - pack->offset;
    size_t want = left < size ? (size_t)left : size;
    size_t got = 0;
    if (want) {
        TRY(disk_read(pack->file, pack->offset, out, want, &got, why));
    }
    if (got < want) {
        return why_set(why, ERR(TORN), "%s is shorter than it was", packed->path);
    }
    pack->crc = crc32c(pack->crc, slice_of(out, got));
    pack->offset += got;
    if (pack->offset == packed->bytes) {
        put_be64(pack->edge, pack->crc);
        pack->edge_len = PACK_FOOT;
        pack->edge_sent = 0;
    }
    *out_got = got;
    return OK;
}

struct err pack_read(struct pack *pack, void *out, size_t size, size_t *out_got, struct why *why)
{
    size_t done = 0;
    while (done < size && !pack->is_over) {
        size_t got = pack->edge_len - pack->edge_sent;
        if (got) {
            got = got < size - done ? got : size - done;
            memcpy((uint8_t *)out + done, pack->edge + pack->edge_sent, got);
            pack->edge_sent += got;
            if (pack->edge_sent == pack->edge_len) {
                TRY(turn(pack, why));
            }
        } else {
            TRY(read_file(pack, (uint8_t *)out + done, size - done, &got, why));
        }
        done += got;
    }
    *out_got = done;
    return OK;
}
