/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of URLs and clusters of members: what etcd's types.NewURLs and types.NewURLsMap accept. */
#include "base/mem.h"
#include "base/text.h"
#include "base/url.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct url *)a)->text, ((const struct url *)b)->text);
}

static struct err check_member_url(
    struct arena *arena, const char *text, const struct url *url, struct why *why)
{
    const char *host = NULL;
    const char *port = NULL;
    if (url_is_unix(url)) {
        return OK;
    }
    if (url->scheme == URL_OTHER) {
        return why_set(
            why, ERR(BAD_INPUT), "URL scheme must be http, https, unix, or unixs: %s", text);
    }
    if (err_is(url_split_host_port(arena, url->authority, &host, &port, NULL))) {
        return why_set(
            why, ERR(BAD_INPUT), "URL address does not have the form \"host:port\": %s", text);
    }
    if (*url->path) {
        return why_set(why, ERR(BAD_INPUT), "URL must not contain a path: %s", text);
    }
    return OK;
}

static struct err parse_all(
    struct arena *arena, struct text_list texts, struct url_list *out_list, struct why *why)
{
    struct url *items = arena_zalloc(arena, (texts.count + 1) * sizeof(*items));
    for (size_t i = 0; i < texts.count; i++) {
        const char *text = text_trim(arena, texts.items[i]);
        TRY(url_parse(arena, text, &items[i], why));
        TRY(check_member_url(arena, text, &items[i], why));
    }
    qsort(items, texts.count, sizeof(*items), by_text);
    *out_list = (struct url_list){items, texts.count};
    return OK;
}

struct err url_list_parse(
    struct arena *arena, const char *text, struct url_list *out_list, struct why *why)
{
    return parse_all(arena, text_split(arena, text, ','), out_list, why);
}

struct err url_list_parse_unique(
    struct arena *arena, const char *text, struct url_list *out_list, struct why *why)
{
    struct url_list list;
    TRY(url_list_parse(arena, text, &list, why));
    struct url *items = arena_zalloc(arena, (list.count + 1) * sizeof(*items));
    size_t kept = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (kept == 0 || strcmp(items[kept - 1].text, list.items[i].text) != 0) {
            items[kept++] = list.items[i];
        }
    }
    *out_list = (struct url_list){items, kept};
    return OK;
}

const char *const *url_list_texts(struct arena *arena, const struct url_list *list)
{
    const char **texts = arena_alloc(arena, (list->count + 1) * sizeof(*texts));
    for (size_t i = 0; i < list->count; i++) {
        texts[i] = list->items[i].text;
    }
    texts[list->count] = NULL;
    return texts;
}

const char *url_list_text(struct arena *arena, const struct url_list *list)
{
    struct text_list texts = {url_list_texts(arena, list), list->count};
    return text_list_join(arena, &texts, ",");
}

/* The pairs of one name, before their URLs are parsed. */
struct pair {
    const char *name;
    const char *url;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static struct pair *pairs_of(struct arena *arena, struct text_list texts, size_t *out_count)
{
    struct pair *pairs = arena_zalloc(arena, (texts.count + 1) * sizeof(*pairs));
    size_t count = 0;
    for (size_t i = 0; i < texts.count; i++) {
        const char *text = texts.items[i];
        const char *equal = strchrnul(text, '=');
        if (*text == 0) {
            continue;
        }
        pairs[count++] = (struct pair){
            (const char *)arena_dup(arena, slice_of(text, (size_t)(equal - text))).data,
            *equal ? equal + 1 : "",
        };
    }
    qsort(pairs, count, sizeof(*pairs), by_name);
    *out_count = count;
    return pairs;
}

struct err url_cluster_parse(
    struct arena *arena, const char *text, struct url_cluster *out_cluster, struct why *why)
{
    size_t count = 0;
    struct pair *pairs = pairs_of(arena, text_split(arena, text, ','), &count);
    struct url_member *members = arena_zalloc(arena, (count + 1) * sizeof(*members));
    const char **urls = arena_zalloc(arena, (count + 1) * sizeof(*urls));
    size_t member_count = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i;
        for (; end < count && strcmp(pairs[end].name, pairs[i].name) == 0; end++) {
            urls[end - i] = pairs[end].url;
        }
        struct url_member *member = &members[member_count++];
        member->name = pairs[i].name;
        TRY(parse_all(arena, (struct text_list){urls, end - i}, &member->urls, why));
        i = end;
    }
    *out_cluster = (struct url_cluster){members, member_count};
    return OK;
}

const struct url_member *url_cluster_find(const struct url_cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (strcmp(cluster->items[i].name, name) == 0) {
            return &cluster->items[i];
        }
    }
    return NULL;
}

const char *url_cluster_text(struct arena *arena, const struct url_cluster *cluster)
{
    size_t count = 0;
    size_t used = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        count += cluster->items[i].urls.count;
    }
    const char **pairs = arena_alloc(arena, (count + 1) * sizeof(*pairs));
    for (size_t i = 0; i < cluster->count; i++) {
        const struct url_member *member = &cluster->items[i];
        for (size_t j = 0; j < member->urls.count; j++) {
            pairs[used++] = arena_printf(arena, "%s=%s", member->name, member->urls.items[j].text);
        }
    }
    pairs[used] = NULL;
    struct text_list list = {pairs, used};
    return text_list_join(arena, &list, ",");
}
