/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/format.h"

static uint64_t fnv1a(const uint8_t *data, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

bool meta_parse(const uint8_t *data, struct meta *out)
{
    if (get_le32(data) != BOLT_MAGIC || get_le32(data + 4) != BOLT_VERSION ||
        get_le64(data + 56) != fnv1a(data, 56)) {
        return false;
    }
    *out = (struct meta){
        .page_size = get_le32(data + 8),
        .root = get_le64(data + 16),
        .freelist = get_le64(data + 32),
        .pages = get_le64(data + 40),
        .txid = get_le64(data + 48),
    };
    return true;
}

void meta_put(uint8_t *data, const struct meta *meta)
{
    memset(data, 0, META);
    put_le32(data, BOLT_MAGIC);
    put_le32(data + 4, BOLT_VERSION);
    put_le32(data + 8, meta->page_size);
    put_le64(data + 16, meta->root);
    put_le64(data + 32, meta->freelist);
    put_le64(data + 40, meta->pages);
    put_le64(data + 48, meta->txid);
    put_le64(data + 56, fnv1a(data, 56));
}

void page_head_put(uint8_t *data, uint64_t id, uint16_t flags, uint16_t count, uint32_t overflow)
{
    put_le64(data, id);
    memcpy(data + 8, &flags, 2);
    memcpy(data + 10, &count, 2);
    put_le32(data + 12, overflow);
}

struct err page_parse(struct page *page)
{
    uint16_t count;
    if (page->len < PAGE_HEAD) {
        return ERR(BAD_FORMAT);
    }
    page->id = get_le64(page->data);
    memcpy(&page->flags, page->data + 8, 2);
    memcpy(&count, page->data + 10, 2);
    page->count = count;
    page->overflow = get_le32(page->data + 12);
    return OK;
}

static struct err page_run(const struct page *page, uint64_t at, uint64_t len, struct slice *out)
{
    if (at > page->len || len > page->len - at) {
        return ERR(BAD_FORMAT);
    }
    *out = slice_of(page->data + at, (size_t)len);
    return OK;
}

struct err page_element(const struct page *page, uint32_t i, struct element *out)
{
    struct slice raw;
    struct element element = {0};
    uint64_t at = PAGE_HEAD + (uint64_t)i * ELEMENT;
    TRY(page_run(page, at, ELEMENT, &raw));
    if (page->flags == PAGE_LEAF) {
        uint64_t key_at = at + get_le32(raw.data + 4);
        uint64_t key_len = get_le32(raw.data + 8);
        element.is_bucket = get_le32(raw.data) & LEAF_BUCKET;
        TRY(page_run(page, key_at, key_len, &element.key));
        TRY(page_run(page, key_at + key_len, get_le32(raw.data + 12), &element.value));
    } else {
        element.child = get_le64(raw.data + 8);
        TRY(page_run(page, at + get_le32(raw.data), get_le32(raw.data + 4), &element.key));
    }
    if (!element.key.len) {
        return ERR(BAD_FORMAT);
    }
    *out = element;
    return OK;
}
