/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as the body, or a header, of what a member asks or is told. The first byte says as
 * what. Keys lie within the body, and there are no more of them than fit it; of a member's URLs
 * those that are some can be dialed. */
#include "base/mem.h"
#include "base/url.h"
#include "peer/remote.h"
#include "peer/told.h"
#include "peer/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_lease(struct slice body)
{
    struct peer_lease lease = {0};
    struct err err = told_lease(body, &lease);
    check(lease.keys_count <= body.len / 2);
    for (size_t i = 0; i < lease.keys_count; i++) {
        const struct slice *key = &lease.keys[i];
        check(key->len <= body.len);
        check(
            !key->len || (key->data >= body.data && key->data + key->len <= body.data + body.len));
    }
    (void)err;
    free((void *)(uintptr_t)lease.keys);
}

static void take_hash(struct slice body)
{
    struct peer_hash hash = {0};
    struct err err = told_hash(body, &hash);
    check(!err_is(err) || (!hash.hash && !hash.revision));
}

/* X-PeerURLs. */
static void take_urls(struct slice header)
{
    const char *texts[TOLD_URLS_MAX];
    struct arena *arena = arena_new(0);
    size_t count = told_urls(header, arena, texts);
    check(count >= 1 && count <= TOLD_URLS_MAX && count <= header.len + 1);
    for (size_t i = 0; i < count; i++) {
        struct url url;
        struct why why = {""};
        if (!err_is(url_parse(arena, texts[i], &url, &why))) {
            struct http_target target = remote_url_target(arena, &url);
            check(target.unix_path || (target.host && target.authority && target.port[0]));
        }
    }
    arena_free(arena);
}

/* X-Server-Version, a line feed, X-Min-Cluster-Version. */
static void take_versions(struct slice headers)
{
    const uint8_t *feed = headers.len ? memchr(headers.data, '\n', headers.len) : NULL;
    size_t len = feed ? (size_t)(feed - headers.data) : headers.len;
    struct slice server = slice_of(headers.data, len);
    struct slice least = feed ? slice_of(feed + 1, headers.len - len - 1) : (struct slice){0};
    check(!version_is_compatible(server, least) || version_has_streams(server));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t id = 0;
    int64_t number = 0;
    bool with_keys = false;
    struct err err = OK;
    if (size < 1) {
        return 0;
    }
    struct slice body = slice_of(data + 1, size - 1);
    switch (data[0] % 8) {
    case 0:
        err = told_renewed(body, &id, &number);
        break;
    case 1:
        take_lease(body);
        break;
    case 2:
        take_hash(body);
        break;
    case 3:
        (void)asked_hash(body, &number);
        break;
    case 4:
        err = asked_lease(body, &id, &with_keys);
        break;
    case 5:
        err = asked_lease_internal(body, &id, &with_keys);
        break;
    case 6:
        take_urls(body);
        break;
    default:
        take_versions(body);
        break;
    }
    (void)err;
    return 0;
}
