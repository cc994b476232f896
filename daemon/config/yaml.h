/* SPDX-License-Identifier: Apache-2.0
 *
 * A YAML document as a tree, by libyaml's events, with limits on size, depth and number of nodes,
 * and with the types that go-yaml v2 gives to plain scalars (YAML 1.1). Pure.
 */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "base/arena.h"
#include "base/err.h"

enum yaml_kind { YAML_NULL, YAML_BOOL, YAML_NUMBER, YAML_STRING, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    const char *text; /* BOOL: "true" or "false"; NUMBER: as JSON writes it; STRING */
    const char *key;  /* of an entry of a map; NULL otherwise */
    struct yaml_node
        *first; /* entries in their order; of a map: sorted by key, the last of equal keys */
    struct yaml_node *next;
    size_t count;
};

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 32, YAML_NODES_MAX = 4096 };

/* *out_root lives in the arena; an empty document is a NULL node. Errors: BAD_INPUT ("yaml: line 2:
 * …"). */
struct err yaml_parse(
    struct arena *arena, struct slice bytes, const struct yaml_node **out_root, struct why *why);
/* json's names: "string", "number", "bool", "array", "object", "null". */
const char *yaml_kind_name(enum yaml_kind kind);

#endif
