/* SPDX-License-Identifier: Apache-2.0 */
#include "member/member.h"

#include "base/codec.h"
#include "base/mem.h"

#include <inttypes.h>
#include <openssl/evp.h>

static uint64_t sha1_head(const struct buf *text)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    check(EVP_Digest(text->data, text->len, digest, &len, EVP_sha1(), NULL) == 1 && len >= 8);
    return get_be64(digest);
}

static int text_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

uint64_t member_id_hash(
    const char *const *peer_urls, size_t count, const char *token, int64_t added_s)
{
    struct buf text;
    const char **sorted = mem_dup(peer_urls, count * sizeof(*sorted));
    buf_init(&text, SIZE_MAX / 2);
    qsort(sorted, count, sizeof(*sorted), text_cmp);
    for (size_t i = 0; i < count; i++) {
        buf_add_str(&text, sorted[i]);
    }
    buf_add_str(&text, token);
    if (added_s) {
        buf_printf(&text, "%" PRId64, added_s);
    }
    uint64_t id = sha1_head(&text);
    buf_fini(&text);
    free(sorted);
    return id;
}

uint64_t member_cluster_id_hash(const uint64_t *ids, size_t count)
{
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        uint8_t be[8];
        put_be64(be, ids[i]);
        buf_add(&bytes, be, sizeof(be));
    }
    uint64_t id = sha1_head(&bytes);
    buf_fini(&bytes);
    return id;
}
