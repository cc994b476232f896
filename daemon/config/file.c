/* SPDX-License-Identifier: Apache-2.0
 *
 * --config-file. etcd turns YAML into JSON and decodes that into its Config: keys of the wrong type
 * are refused in Go's words, keys it does not know are passed over (with a note here), durations
 * are numbers of nanoseconds. */
#include "config/draft.h"
#include "config/yaml.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

struct field {
    struct flag flag;
    const char *go;
};

/* A map below the top. */
struct section {
    const char *path;
    const char *prefix; /* in front of the path in errors about its fields */
    const char *owner;  /* in front of the path in errors about itself */
    const char *go;
    const struct field *fields;
    size_t count;
    size_t offset; /* of what the fields' offsets count from */
    const char
        *flag_prefix; /* a field's key behind it is the flag of the same meaning; NULL: none */
};

#define TLS(field) FLAG_FIELD(struct config_tls, field)
#define DISCOVERY(field) FLAG_FIELD(struct config_discovery, field)

static const struct field tls_fields[] = {
    {{"cert-file", FLAG_STRING, TLS(cert_file)}, "string"},
    {{"key-file", FLAG_STRING, TLS(key_file)}, "string"},
    {{"client-cert-file", FLAG_STRING, TLS(client_cert_file)}, "string"},
    {{"client-key-file", FLAG_STRING, TLS(client_key_file)}, "string"},
    {{"client-cert-auth", FLAG_BOOL, TLS(client_cert_auth)}, "bool"},
    {{"trusted-ca-file", FLAG_STRING, TLS(ca_file)}, "string"},
    {{"auto-tls", FLAG_BOOL, TLS(is_auto)}, "bool"},
    {{"allowed-cn", FLAG_STRINGS, TLS(allowed_cns)}, "[]string"},
    {{"allowed-hostname", FLAG_STRINGS, TLS(allowed_hostnames)}, "[]string"},
    {{"skip-client-san-verification", FLAG_BOOL, TLS(skip_client_san_verification)}, "bool"},
};

static const struct field socket_fields[] = {
    {{"reuse-port", FLAG_BOOL, FLAG_FIELD(struct config, socket_reuse_port)}, "bool"},
    {{"reuse-address", FLAG_BOOL, FLAG_FIELD(struct config, socket_reuse_address)}, "bool"},
};

static const struct field discovery_fields[] = {
    {{"token", FLAG_STRING, DISCOVERY(token)}, "string"},
};

static const struct field client_fields[] = {
    {{"endpoints", FLAG_STRINGS, DISCOVERY(endpoints)}, "[]string"},
    {{"dial-timeout", FLAG_DURATION, DISCOVERY(dial_timeout_ns)}, "time.Duration"},
    {{"request-timeout", FLAG_DURATION, DISCOVERY(request_timeout_ns)}, "time.Duration"},
    {{"keepalive-time", FLAG_DURATION, DISCOVERY(keepalive_time_ns)}, "time.Duration"},
    {{"keepalive-timeout", FLAG_DURATION, DISCOVERY(keepalive_timeout_ns)}, "time.Duration"},
};

static const struct field secure_fields[] = {
    {{"cert", FLAG_STRING, DISCOVERY(cert_file)}, "string"},
    {{"key", FLAG_STRING, DISCOVERY(key_file)}, "string"},
    {{"cacert", FLAG_STRING, DISCOVERY(ca_file)}, "string"},
    {{"insecure-transport", FLAG_BOOL, DISCOVERY(is_insecure_transport)}, "bool"},
    {{"insecure-skip-tls-verify", FLAG_BOOL, DISCOVERY(skip_tls_verify)}, "bool"},
};

static const struct field auth_fields[] = {
    {{"username", FLAG_STRING, DISCOVERY(user)}, "string"},
    {{"password", FLAG_STRING, DISCOVERY(password)}, "string"},
};

#define IN_CONFIG(field) offsetof(struct draft, config.field)

static const struct section sections[] = {
    {"client-transport-security", "securityConfig.configJSON", "configYAML.configJSON",
        "embed.securityConfig", tls_fields, COUNT_OF(tls_fields), IN_CONFIG(client), ""},
    {"peer-transport-security", "securityConfig.configJSON", "configYAML.configJSON",
        "embed.securityConfig", tls_fields, COUNT_OF(tls_fields), IN_CONFIG(peer), "peer-"},
    {"socket-options", "SocketOpts.Config", "configYAML.Config", "transport.SocketOpts",
        socket_fields, COUNT_OF(socket_fields), offsetof(struct draft, config), NULL},
    {"discovery-config", "DiscoveryConfig.Config", "configYAML.Config",
        "v3discovery.DiscoveryConfig", discovery_fields, COUNT_OF(discovery_fields),
        IN_CONFIG(discovery), NULL},
    {"discovery-config.client", "ConfigSpec.Config", "DiscoveryConfig.Config",
        "clientv3.ConfigSpec", client_fields, COUNT_OF(client_fields), IN_CONFIG(discovery), NULL},
    {"discovery-config.client.secure", "SecureConfig.Config", "ConfigSpec.Config",
        "clientv3.SecureConfig", secure_fields, COUNT_OF(secure_fields), IN_CONFIG(discovery),
        NULL},
    {"discovery-config.client.auth", "AuthConfig.Config", "ConfigSpec.Config",
        "clientv3.AuthConfig", auth_fields, COUNT_OF(auth_fields), IN_CONFIG(discovery), NULL},
};

/* Where a value goes and how an error names it. */
struct place {
    struct draft *draft;
    const struct flag *flag;
    void *target;
    const char *go;
    const char *where; /* "configYAML.Config.name" */
    struct why *why;
};

static struct err wrong_type(
    const struct place *place, const char *value, const char *number, const char *go)
{
    return why_set(place->why, ERR(BAD_CONFIG),
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s%s%s into Go "
        "struct field %s of type %s",
        value, *number ? " " : "", number, place->where, go);
}

static struct err put_list(const struct place *place, const struct yaml_node *node)
{
    const char **items =
        arena_alloc(place->draft->config.arena, (node->count + 1) * sizeof(*items));
    size_t count = 0;
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        if (item->kind != YAML_STRING && item->kind != YAML_NULL) {
            return wrong_type(place, yaml_kind_name(item->kind), "", "string");
        }
        items[count++] = item->text;
    }
    items[count] = NULL;
    *(struct text_list *)(void *)((char *)place->target + place->flag->offset) =
        (struct text_list){items, count};
    return OK;
}

static struct err put_number(const struct place *place, const struct yaml_node *node)
{
    int64_t ns = 0;
    if (place->flag->kind == FLAG_DURATION) {
        if (text_parse_int10(node->text, &ns) != TEXT_NUMBER_OK) {
            return wrong_type(place, "number", node->text, place->go);
        }
        *(int64_t *)(void *)((char *)place->target + place->flag->offset) = ns;
        return OK;
    }
    if (err_is(
            flag_set(place->flag, place->draft->config.arena, place->target, node->text, NULL))) {
        return wrong_type(place, "number", node->text, place->go);
    }
    return OK;
}

static enum yaml_kind kind_wanted(const char *go)
{
    if (strcmp(go, "bool") == 0) {
        return YAML_BOOL;
    }
    if (strcmp(go, "[]string") == 0) {
        return YAML_LIST;
    }
    if (strcmp(go, "string") == 0 || strcmp(go, "config.V2DeprecationEnum") == 0) {
        return YAML_STRING;
    }
    return YAML_NUMBER;
}

/* Texts that are read only after all types were found right. */
static bool is_second(const struct flag *flag)
{
    return flag->kind == FLAG_URLS || flag->kind == FLAG_CALL;
}

static struct err put(const struct place *place, const struct yaml_node *node)
{
    if (node->kind == YAML_NULL) {
        return OK;
    }
    if (node->kind != kind_wanted(place->go)) {
        return wrong_type(place, yaml_kind_name(node->kind), "", place->go);
    }
    if (node->kind == YAML_LIST) {
        return put_list(place, node);
    }
    if (node->kind == YAML_NUMBER) {
        return put_number(place, node);
    }
    if (is_second(place->flag) || (place->flag->kind == FLAG_SET && *node->text == 0)) {
        return OK;
    }
    struct flag flag = *place->flag;
    if (flag.kind == FLAG_ENUM || flag.kind == FLAG_ENUMS) {
        flag.kind = FLAG_STRING;
    }
    return flag_set(&flag, place->draft->config.arena, place->target, node->text, place->why);
}

/* As encoding/json does: the exact name first, then without regard to case. */
static size_t find_row(const char *key)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < config_table.count; i++) {
            const struct row *row = row_at(i);
            int diff = pass ? strcasecmp(row->flag.name, key) : strcmp(row->flag.name, key);
            if (row->go && diff == 0) {
                return i;
            }
        }
    }
    return config_table.count;
}

static const struct section *find_section(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (strcmp(sections[i].path, path) == 0) {
            return &sections[i];
        }
    }
    return NULL;
}

static const struct field *find_field(const struct section *section, const char *key)
{
    for (size_t i = 0; i < section->count; i++) {
        if (strcasecmp(section->fields[i].flag.name, key) == 0) {
            return &section->fields[i];
        }
    }
    return NULL;
}

static void unknown_key(struct draft *draft, const char *key)
{
    note(draft, LOG_LEVEL_WARN, "unrecognized key in configuration file", "key", key);
}

static struct err section_field(struct draft *draft, const struct section *section,
    const struct yaml_node *entry, struct why *why)
{
    struct arena *arena = draft->config.arena;
    const struct field *field = find_field(section, entry->key);
    if (!field) {
        unknown_key(draft, arena_printf(arena, "%s.%s", section->path, entry->key));
        return OK;
    }
    if (section->flag_prefix) {
        size_t i = flag_find(
            &config_table, arena_printf(arena, "%s%s", section->flag_prefix, field->flag.name));
        if (i < config_table.count) {
            draft->is_set[i] = true;
        }
    }
    struct place place = {draft, &field->flag, (char *)draft + section->offset, field->go,
        arena_printf(arena, "%s.%s.%s", section->prefix, section->path, field->flag.name), why};
    return put(&place, entry);
}

static struct err take_section(struct draft *draft, const struct section *section,
    const struct yaml_node *node, struct why *why)
{
    struct arena *arena = draft->config.arena;
    if (node->kind == YAML_NULL) {
        return OK;
    }
    if (node->kind != YAML_MAP) {
        struct place place = {.draft = draft,
            .why = why,
            .where = arena_printf(arena, "%s.%s", section->owner, section->path)};
        return wrong_type(&place, yaml_kind_name(node->kind), "", section->go);
    }
    for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
        const struct section *below =
            find_section(arena_printf(arena, "%s.%s", section->path, entry->key));
        TRY(below ? take_section(draft, below, entry, why)
                  : section_field(draft, section, entry, why));
    }
    return OK;
}

static struct err take_entry(struct draft *draft, const struct yaml_node *entry, struct why *why)
{
    const struct section *section = find_section(entry->key);
    /* etcd's own slip between the flag's name and the key's, kept by it as an alias */
    bool is_slip = strcmp(entry->key, "experimental-snapshot-catch-up-entries") == 0;
    size_t i = find_row(is_slip ? "experimental-snapshot-catchup-entries" : entry->key);
    if (section) {
        return take_section(draft, section, entry, why);
    }
    if (i == config_table.count) {
        unknown_key(draft, entry->key);
        return OK;
    }
    const struct row *row = row_at(i);
    struct place place = {draft, &row->flag, draft, row->go,
        arena_printf(draft->config.arena, "configYAML.%s.%s",
            row->is_json ? "configJSON" : "Config", is_slip ? entry->key : row->flag.name),
        why};
    draft->is_set[i] = true;
    return put(&place, entry);
}

static struct err take_call(
    struct draft *draft, const struct row *row, const struct yaml_node *entry, struct why *why)
{
    if (*entry->text && err_is(row->flag.set(draft->config.arena, draft, entry->text, why))) {
        return ERR(BAD_CONFIG);
    }
    return OK;
}

static struct err take_urls(
    struct draft *draft, const struct row *row, const struct yaml_node *entry, struct why *why)
{
    struct why reason;
    struct url_list *list = (void *)((char *)draft + row->flag.offset);
    if (*entry->text && err_is(url_list_parse(draft->config.arena, entry->text, list, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "unexpected error setting up %s: %s", row->flag.name,
            reason.text);
    }
    return OK;
}

/* URLs, gates and origins, whose texts etcd reads after the types. */
static struct err take_second(struct draft *draft, const struct yaml_node *root, struct why *why)
{
    for (const struct yaml_node *entry = root->first; entry; entry = entry->next) {
        size_t i = find_row(entry->key);
        const struct row *row = i < config_table.count ? row_at(i) : NULL;
        if (!row || !is_second(&row->flag) || entry->kind != YAML_STRING) {
            continue;
        }
        TRY(row->flag.kind == FLAG_CALL ? take_call(draft, row, entry, why)
                                        : take_urls(draft, row, entry, why));
    }
    return OK;
}

static struct err file_error(const char *what, const char *path, int sys_errno, struct why *why)
{
    char words[TEXT_ERRNO_SIZE];

    return why_set(why, ERR(BAD_CONFIG), "%s %s: %s", what, path, text_errno(sys_errno, words));
}

static struct err read_file(const char *path, struct buf *out, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return file_error("open", path, errno, why);
    }
    ssize_t got = 1;
    while (got > 0 && !out->is_full) {
        uint8_t bytes[4096];
        got = read(fd, bytes, sizeof(bytes));
        if (got > 0) {
            buf_add(out, bytes, (size_t)got);
        }
    }
    int sys_errno = errno;
    close(fd);
    if (got < 0) {
        return file_error("read", path, sys_errno, why);
    }
    return out->is_full ? file_error("read", path, EFBIG, why) : OK;
}

static struct err take_document(struct draft *draft, struct slice bytes, struct why *why)
{
    const struct yaml_node *root = NULL;
    struct why reason;
    if (err_is(yaml_parse(draft->config.arena, bytes, &root, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "error converting YAML to JSON: %s", reason.text);
    }
    if (root->kind != YAML_MAP && root->kind != YAML_NULL) {
        return why_set(why, ERR(BAD_CONFIG),
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s into Go "
            "value of type embed.configYAML",
            yaml_kind_name(root->kind));
    }
    for (const struct yaml_node *entry = root->first; entry; entry = entry->next) {
        TRY(take_entry(draft, entry, why));
    }
    return take_second(draft, root, why);
}

struct err file_apply(struct draft *draft, struct why *why)
{
    struct buf bytes;
    buf_init(&bytes, YAML_BYTES_MAX);
    struct err e = read_file(draft->config_file, &bytes, why);
    if (!err_is(e)) {
        e = take_document(draft, buf_slice(&bytes), why);
    }
    buf_fini(&bytes);
    return e;
}
