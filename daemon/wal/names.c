/* SPDX-License-Identifier: Apache-2.0
 * Segment files: <seq>-<first index>.wal, both as 16 hex digits. */
#include "base/mem.h"
#include "wal/inner.h"

char *segment_path(const char *dir, uint64_t seq, uint64_t index)
{
    char name[64];
    snprintf(name, sizeof(name), "%016llx-%016llx.wal", (unsigned long long)seq,
        (unsigned long long)index);
    return disk_path(dir, name);
}

static bool parse_hex16(const char *text, uint64_t *out)
{
    uint64_t number = 0;
    for (int i = 0; i < 16; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9') {
            number = number << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            number = number << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    *out = number;
    return true;
}

static bool parse_name(const char *name, uint64_t *out_seq, uint64_t *out_index)
{
    return strlen(name) == 16 + 1 + 16 + 4 && name[16] == '-' && strcmp(name + 33, ".wal") == 0 &&
           parse_hex16(name, out_seq) && parse_hex16(name + 17, out_index);
}

void segments_push(struct segments *segments, struct segment segment)
{
    size_t bytes = (segments->count + 1) * sizeof(*segments->items);
    segments->items = mem_grow(segments->items, bytes);
    segments->items[segments->count++] = segment;
}

struct err segments_list(struct disk *disk, const char *dir, struct segments *out, struct why *why)
{
    struct disk_names names;
    struct segments segments = {0};
    TRY(disk_list(disk, dir, &names, why));
    for (size_t i = 0; i < names.count; i++) {
        struct segment segment = {0};
        if (parse_name(names.names[i], &segment.seq, &segment.index)) {
            segment.path = disk_path(dir, names.names[i]);
            segments_push(&segments, segment);
        }
    }
    disk_names_fini(&names);
    if (!segments.count) {
        return why_set(why, ERR(ABSENT), "no write-ahead log segment in %s", dir);
    }
    *out = segments;
    return OK;
}

void segments_drop(struct segments *segments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        disk_close(segments->items[i].file);
        free(segments->items[i].path);
    }
    segments->count -= count;
    if (segments->count) {
        memmove(
            segments->items, segments->items + count, segments->count * sizeof(*segments->items));
    }
}

void segments_fini(struct segments *segments)
{
    segments_drop(segments, segments->count);
    free(segments->items);
    *segments = (struct segments){0};
}

struct err segments_select(struct segments *segments, uint64_t index, struct why *why)
{
    size_t first = segments->count;
    while (first && segments->items[first - 1].index > index) {
        first--;
    }
    if (!first) {
        return why_set(why, ERR(ABSENT), "%s begins behind snapshot index %llu",
            segments->items[0].path, (unsigned long long)index);
    }
    segments_drop(segments, first - 1);
    for (size_t i = 1; i < segments->count; i++) {
        if (segments->items[i].seq != segments->items[i - 1].seq + 1) {
            return why_set(
                why, ERR(BAD_FORMAT), "a segment is missing before %s", segments->items[i].path);
        }
    }
    return OK;
}

struct err segments_open(
    struct segments *segments, struct disk *disk, bool is_locked, struct why *why)
{
    for (size_t i = 0; i < segments->count; i++) {
        struct segment *segment = &segments->items[i];
        unsigned flags = is_locked ? DISK_WRITE : DISK_READ;
        TRY(disk_open(disk, segment->path, flags, 0, &segment->file, why));
        if (is_locked) {
            TRY(disk_lock(segment->file, why));
        }
    }
    return OK;
}

struct err segment_make(
    struct disk *disk, const char *path, uint64_t bytes, struct disk_file **out, struct why *why)
{
    struct disk_file *file = NULL;
    unsigned flags = DISK_WRITE | DISK_CREATE | DISK_TRUNCATE;
    struct err e = disk_open(disk, path, flags, 0600, &file, why);
    if (!err_is(e)) {
        e = disk_lock(file, why);
    }
    if (!err_is(e)) {
        e = disk_allocate(file, bytes, why);
    }
    if (err_is(e)) {
        disk_close(file);
        return e;
    }
    *out = file;
    return OK;
}
