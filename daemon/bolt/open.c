/* SPDX-License-Identifier: Apache-2.0
 * Opening a file: which of the two meta pages counts; pages into memory. */
#include "base/mem.h"
#include "bolt/format.h"

enum { PAGE_SIZE_MIN = 1024, PAGE_SIZE_MAX = 16 * 1024 * 1024, META_READ = PAGE_HEAD + META };

struct err bolt_why(const struct bolt *bolt, uint64_t page, struct why *why, const char *what)
{
    return why_set(
        why, ERR(BAD_FORMAT), "%s page %llu: %s", bolt->path, (unsigned long long)page, what);
}

static bool is_page_size(uint64_t size)
{
    return size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

static struct err read_meta(
    struct bolt *bolt, uint64_t offset, struct meta *out, bool *out_valid, struct why *why)
{
    uint8_t data[META_READ];
    size_t got;
    struct meta meta;
    TRY(disk_read(bolt->file, offset, data, sizeof(data), &got, why));
    *out_valid =
        got == sizeof(data) && meta_parse(data + PAGE_HEAD, &meta) && is_page_size(meta.page_size);
    if (*out_valid) {
        *out = meta;
    }
    return OK;
}

/* The second meta page lies where the page size says, which only the first one tells: tries all
 * sizes when that is damaged, as bbolt does. */
static struct err find_meta(struct bolt *bolt, struct why *why)
{
    struct meta first;
    struct meta second;
    bool has_first;
    bool has_second = false;
    TRY(read_meta(bolt, 0, &first, &has_first, why));
    if (has_first) {
        TRY(read_meta(bolt, first.page_size, &second, &has_second, why));
    }
    for (uint64_t size = PAGE_SIZE_MIN; !has_first && !has_second && size <= PAGE_SIZE_MAX;
         size *= 2) {
        TRY(read_meta(bolt, size, &second, &has_second, why));
        has_second = has_second && second.page_size == size;
    }
    if (!has_first && !has_second) {
        return why_set(
            why, ERR(BAD_FORMAT), "%s: no valid meta page, not a bbolt file", bolt->path);
    }
    bolt->meta = has_second && (!has_first || second.txid > first.txid) ? second : first;
    return OK;
}

static struct err check_meta(struct bolt *bolt, struct why *why)
{
    uint64_t bytes;
    const struct meta *meta = &bolt->meta;
    TRY(disk_size(bolt->file, &bytes, why));
    if (meta->pages < 3 || meta->root < 2 || meta->root >= meta->pages ||
        (meta->freelist != NO_FREELIST && (meta->freelist < 2 || meta->freelist >= meta->pages))) {
        return bolt_why(bolt, meta->txid % 2, why, "page numbers past the high water mark");
    }
    if (meta->pages > bytes / meta->page_size) {
        return why_set(why, ERR(TORN), "%s: %llu bytes are fewer than its %llu pages", bolt->path,
            (unsigned long long)bytes, (unsigned long long)meta->pages);
    }
    return OK;
}

struct err bolt_open(struct disk *disk, const char *path, struct bolt **out, struct why *why)
{
    struct bolt *bolt = mem_new(sizeof(*bolt));
    bolt->path = mem_strdup(path);
    struct err e = disk_open(disk, path, DISK_READ, 0, &bolt->file, why);
    if (!err_is(e)) {
        e = find_meta(bolt, why);
    }
    if (!err_is(e)) {
        e = check_meta(bolt, why);
    }
    if (err_is(e)) {
        bolt_close(bolt);
        return e;
    }
    *out = bolt;
    return OK;
}

void bolt_close(struct bolt *bolt)
{
    if (bolt) {
        disk_close(bolt->file);
        free(bolt->path);
        free(bolt);
    }
}

struct bolt_info bolt_info(const struct bolt *bolt)
{
    return (struct bolt_info){
        .page_size = bolt->meta.page_size,
        .pages = bolt->meta.pages,
        .txid = bolt->meta.txid,
    };
}

static struct err read_run(
    struct bolt *bolt, uint64_t id, size_t from, struct page *page, struct why *why)
{
    size_t got;
    uint64_t offset = id * bolt->meta.page_size + from;
    TRY(disk_read(bolt->file, offset, page->data + from, page->len - from, &got, why));
    return got == page->len - from ? OK : bolt_why(bolt, id, why, "the file ends inside it");
}

struct err page_load(struct bolt *bolt, uint64_t id, struct page *out, struct why *why)
{
    const struct meta *meta = &bolt->meta;
    struct page page = {.len = meta->page_size};
    if (id < 2 || id >= meta->pages) {
        return bolt_why(bolt, id, why, "no such page");
    }
    page.data = mem_alloc(page.len);
    struct err e = read_run(bolt, id, 0, &page, why);
    if (!err_is(e)) {
        e = page_parse(&page);
    }
    if (!err_is(e) && (page.id != id || page.overflow >= meta->pages - id)) {
        e = bolt_why(bolt, id, why, "its head is not its own");
    }
    if (!err_is(e) && page.overflow) {
        uint64_t bytes = ((uint64_t)page.overflow + 1) * meta->page_size;
        if (bytes > BOLT_NODE_MAX) {
            e = why_set(why, ERR(TOO_BIG), "%s page %llu: %llu bytes", bolt->path,
                (unsigned long long)id, (unsigned long long)bytes);
        } else {
            page.data = mem_grow(page.data, (size_t)bytes);
            page.len = (size_t)bytes;
            e = read_run(bolt, id, meta->page_size, &page, why);
        }
    }
    if (err_is(e)) {
        free(page.data);
        return e;
    }
    *out = page;
    return OK;
}
