/* SPDX-License-Identifier: Apache-2.0 */
#include "config/yaml.h"

#include "base/mem.h"
#include "base/text.h"

#include <yaml.h>

#include <ctype.h>
#include <inttypes.h>

struct anchor {
    const char *name;
    const struct yaml_node *node;
    struct anchor *next;
};

struct load {
    struct arena *arena;
    struct why *why;
    yaml_parser_t parser;
    struct anchor *anchors;
    size_t node_count;
    unsigned depth;
};

const char *yaml_kind_name(enum yaml_kind kind)
{
    static const char *const names[] = {"null", "bool", "number", "string", "array", "object"};
    return names[kind];
}

static struct err refuse(struct load *load, const char *text)
{
    return why_set(load->why, ERR(BAD_INPUT), "yaml: %s", text);
}

/* go-yaml is a port of libyaml and keeps its words; the line is counted as it counts. */
static struct err parser_error(struct load *load)
{
    const yaml_parser_t *parser = &load->parser;
    size_t line = parser->problem_mark.line ? parser->problem_mark.line : parser->context_mark.line;
    const char *problem =
        parser->problem ? parser->problem : "unknown problem parsing YAML content";
    if (line && parser->error == YAML_SCANNER_ERROR) {
        line++;
    }
    if (line) {
        return why_set(load->why, ERR(BAD_INPUT), "yaml: line %zu: %s", line, problem);
    }
    return refuse(load, problem);
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static bool resolve_word(const char *text, struct yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const yes[] = {
        "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
    static const char *const no[] = {
        "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
    if (is_one_of(text, nulls)) {
        node->kind = YAML_NULL;
        return true;
    }
    if (is_one_of(text, yes) || is_one_of(text, no)) {
        node->kind = YAML_BOOL;
        node->text = is_one_of(text, yes) ? "true" : "false";
        return true;
    }
    return false;
}

static bool is_float(const char *text)
{
    const char *at = text + (*text == '-' || *text == '+');
    size_t whole = strspn(at, "0123456789");
    at += whole;
    if (*at == '.') {
        size_t fraction = strspn(at + 1, "0123456789");
        whole += fraction;
        at += 1 + fraction;
    }
    if (whole && (*at == 'e' || *at == 'E')) {
        at++;
        at += *at == '-' || *at == '+';
        size_t digits = strspn(at, "0123456789");
        at += digits;
        whole = digits;
    }
    return whole && *at == 0;
}

/* The shortest digits that read back the same, without an exponent below 1e21, as JSON writes them.
 */
static const char *real_text(struct arena *arena, double real)
{
    char text[48];
    double size = real < 0 ? -real : real;
    bool is_whole = size >= 9007199254740992.0 || (double)(int64_t)real == real;
    if (is_whole && size < 1e21) {
        return arena_printf(arena, "%.0f", real);
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    return arena_strdup(arena, text);
}

static bool resolve_number(struct arena *arena, const char *text, struct yaml_node *node)
{
    char *plain = arena_strdup(arena, text);
    size_t n = 0;
    int64_t number = 0;
    uint64_t value = 0;
    if (!isdigit((unsigned char)*text) && !strchr("+-.", *text)) {
        return false;
    }
    for (const char *at = text; *at; at++) {
        plain[n] = *at;
        n += *at != '_';
    }
    plain[n] = 0;
    node->kind = YAML_NUMBER;
    if (text_parse_int(plain, 64, &number) == TEXT_NUMBER_OK) {
        node->text = arena_printf(arena, "%" PRId64, number);
    } else if (text_parse_uint(plain, 64, &value) == TEXT_NUMBER_OK) {
        node->text = arena_printf(arena, "%" PRIu64, value);
    } else if (is_float(plain)) {
        node->text = real_text(arena, strtod(plain, NULL));
    } else {
        return false;
    }
    return true;
}

static void resolve(struct load *load, const yaml_event_t *event, struct yaml_node *node)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool is_typed = tag && strcmp(tag, "!") != 0 && strcmp(tag, YAML_STR_TAG) == 0;
    if (is_plain && !is_typed) {
        if (resolve_word(text, node) || resolve_number(load->arena, text, node)) {
            return;
        }
    }
    node->kind = YAML_STRING;
    node->text = arena_strdup(load->arena, text);
}

static struct err node_new(struct load *load, struct yaml_node **out_node)
{
    if (++load->node_count > YAML_NODES_MAX) {
        return refuse(load, "document holds too many values");
    }
    *out_node = arena_zalloc(load->arena, sizeof(struct yaml_node));
    (*out_node)->text = "";
    return OK;
}

static void anchor_add(struct load *load, const yaml_char_t *name, const struct yaml_node *node)
{
    if (name) {
        struct anchor *anchor = arena_zalloc(load->arena, sizeof(*anchor));
        *anchor =
            (struct anchor){arena_strdup(load->arena, (const char *)name), node, load->anchors};
        load->anchors = anchor;
    }
}

static struct err alias(struct load *load, const char *name, struct yaml_node *node)
{
    for (const struct anchor *anchor = load->anchors; anchor; anchor = anchor->next) {
        if (strcmp(anchor->name, name) == 0) {
            const char *key = node->key;
            *node = *anchor->node;
            node->key = key;
            node->next = NULL;
            return OK;
        }
    }
    return why_set(load->why, ERR(BAD_INPUT), "yaml: unknown anchor '%s' referenced", name);
}

static struct err next_event(struct load *load, yaml_event_t *event)
{
    return yaml_parser_parse(&load->parser, event) ? OK : parser_error(load);
}

static struct err build(struct load *load, const yaml_event_t *event, struct yaml_node *node);

static struct err build_list(struct load *load, struct yaml_node *list)
{
    struct yaml_node **last = &list->first;
    struct err e = OK;
    list->kind = YAML_LIST;
    while (!err_is(e)) {
        yaml_event_t event;
        struct yaml_node *node = NULL;
        TRY(next_event(load, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return OK;
        }
        e = node_new(load, &node);
        e = err_is(e) ? e : build(load, &event, node);
        yaml_event_delete(&event);
        *last = node;
        last = node ? &node->next : last;
        list->count++;
    }
    return e;
}

/* Into its place by key; an equal key is replaced. */
static void map_put(struct yaml_node *map, struct yaml_node *node)
{
    struct yaml_node **at = &map->first;
    while (*at && strcmp((*at)->key, node->key) < 0) {
        at = &(*at)->next;
    }
    bool is_same = *at && strcmp((*at)->key, node->key) == 0;
    node->next = is_same ? (*at)->next : *at;
    *at = node;
    map->count += !is_same;
}

/* "<<": entries that are not there yet. */
static struct err merge(struct load *load, struct yaml_node *map, const struct yaml_node *from)
{
    for (const struct yaml_node *entry = from->first; entry; entry = entry->next) {
        const struct yaml_node *have = map->first;
        while (have && strcmp(have->key, entry->key) != 0) {
            have = have->next;
        }
        if (!have) {
            struct yaml_node *copy = NULL;
            TRY(node_new(load, &copy));
            *copy = *entry;
            map_put(map, copy);
        }
    }
    return OK;
}

static struct err map_key(struct load *load, const yaml_event_t *event, const char **out_key)
{
    struct yaml_node key = {.text = ""};
    if (event->type == YAML_ALIAS_EVENT) {
        TRY(alias(load, (const char *)event->data.alias.anchor, &key));
    } else if (event->type == YAML_SCALAR_EVENT) {
        resolve(load, event, &key);
        struct yaml_node *copy = arena_zalloc(load->arena, sizeof(*copy));
        *copy = key;
        anchor_add(load, event->data.scalar.anchor, copy);
    } else {
        return refuse(load, "invalid map key");
    }
    if (key.kind >= YAML_LIST) {
        return refuse(load, "invalid map key");
    }
    *out_key = key.kind == YAML_NULL ? "null" : key.text;
    return OK;
}

/* One entry; *out_done at the map's end. */
static struct err build_entry(
    struct load *load, struct yaml_node *map, struct yaml_node **merged, bool *out_done)
{
    yaml_event_t event;
    const char *key = NULL;
    struct yaml_node *node = NULL;
    TRY(next_event(load, &event));
    *out_done = event.type == YAML_MAPPING_END_EVENT;
    struct err e = *out_done ? OK : map_key(load, &event, &key);
    yaml_event_delete(&event);
    if (*out_done) {
        return OK;
    }
    TRY(e);
    TRY(node_new(load, &node));
    TRY(next_event(load, &event));
    e = build(load, &event, node);
    yaml_event_delete(&event);
    TRY(e);
    node->key = key;
    if (strcmp(key, "<<") == 0 && node->kind == YAML_MAP) {
        *merged = node;
    } else {
        map_put(map, node);
    }
    return OK;
}

static struct err build_map(struct load *load, struct yaml_node *map)
{
    struct yaml_node *merged = NULL;
    bool is_done = false;
    map->kind = YAML_MAP;
    while (!is_done) {
        TRY(build_entry(load, map, &merged, &is_done));
    }
    return merged ? merge(load, map, merged) : OK;
}

static struct err build(struct load *load, const yaml_event_t *event, struct yaml_node *node)
{
    if (load->depth == YAML_DEPTH_MAX) {
        return refuse(load, "document is nested too deeply");
    }
    load->depth++;
    struct err e = OK;
    if (event->type == YAML_ALIAS_EVENT) {
        e = alias(load, (const char *)event->data.alias.anchor, node);
    } else if (event->type == YAML_SCALAR_EVENT) {
        resolve(load, event, node);
        anchor_add(load, event->data.scalar.anchor, node);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        e = build_list(load, node);
        anchor_add(load, event->data.sequence_start.anchor, node);
    } else {
        e = build_map(load, node);
        anchor_add(load, event->data.mapping_start.anchor, node);
    }
    load->depth--;
    return e;
}

static bool is_value(yaml_event_type_t type)
{
    return type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
           type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT;
}

/* The first document, to its end: what follows its value must still be YAML. */
static struct err build_document(struct load *load, struct yaml_node *root)
{
    for (;;) {
        yaml_event_t event;
        TRY(next_event(load, &event));
        yaml_event_type_t type = event.type;
        struct err e = is_value(type) ? build(load, &event, root) : OK;
        yaml_event_delete(&event);
        TRY(e);
        if (type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT) {
            return OK;
        }
    }
}

struct err yaml_parse(
    struct arena *arena, struct slice bytes, const struct yaml_node **out_root, struct why *why)
{
    struct load load = {.arena = arena, .why = why};
    struct yaml_node *root = NULL;
    if (bytes.len > YAML_BYTES_MAX) {
        return refuse(&load, "document is too large");
    }
    TRY(node_new(&load, &root));
    check(yaml_parser_initialize(&load.parser));
    yaml_parser_set_input_string(
        &load.parser, bytes.len ? bytes.data : (const uint8_t *)"", bytes.len);
    yaml_parser_set_encoding(&load.parser, YAML_UTF8_ENCODING);
    struct err e = build_document(&load, root);
    yaml_parser_delete(&load.parser);
    if (!err_is(e)) {
        *out_root = root;
    }
    return e;
}
