/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pb.h"
#include "ctl/lib/cmd.h"
#include "ctl/lib/gotext.h"
#include "ctl/lib/print.h"

#include <inttypes.h>

static void print_bytes(const struct printer *p, ProtobufCBinaryData bytes)
{
    if (bytes.len > 0) {
        fwrite(bytes.data, 1, bytes.len, p->out);
    }
}

static void simple_permission(const struct printer *p, const Authpb__Permission *perm)
{
    struct slice key = pb_slice(perm->key);
    struct slice end = pb_slice(perm->range_end);
    bool is_open = slice_eq(end, PREFIX_FROM_KEY);

    fprintf(p->out, end.len ? "\t[" : "\t");
    print_bytes(p, perm->key);
    if (end.len == 0) {
        fputc('\n', p->out);
        return;
    }
    fprintf(p->out, is_open ? ", <open ended>" : ", ");
    if (!is_open) {
        print_bytes(p, perm->range_end);
        fputc(')', p->out);
    }
    if (key.len > 0 && slice_eq(prefix_range_end(p->arena, key), end)) {
        fprintf(p->out, " (prefix ");
        print_bytes(p, perm->key);
        fputc(')', p->out);
    }
    fputc('\n', p->out);
}

static void simple_permissions(const struct printer *p, const Etcdserverpb__AuthRoleGetResponse *r,
    Authpb__Permission__Type type)
{
    for (size_t i = 0; i < r->n_perm; i++) {
        if (r->perm[i]->permtype == type ||
            r->perm[i]->permtype == AUTHPB__PERMISSION__TYPE__READWRITE) {
            simple_permission(p, r->perm[i]);
        }
    }
}

static void role_fields(const struct printer *p, const Etcdserverpb__AuthRoleGetResponse *r)
{
    static const char *const types[] = {"READ", "WRITE", "READWRITE"};

    print_header(p, r->header);
    for (size_t i = 0; i < r->n_perm; i++) {
        fprintf(p->out, "\"PermType\" :  %s\n\"Key\" : ", types[r->perm[i]->permtype % 3]);
        gotext_print_quoted(p->out, pb_slice(r->perm[i]->key));
        fprintf(p->out, "\n\"RangeEnd\" : ");
        gotext_print_quoted(p->out, pb_slice(r->perm[i]->range_end));
        fputc('\n', p->out);
    }
}

int print_role(
    const struct printer *p, const char *name, const Etcdserverpb__AuthRoleGetResponse *r)
{
    if (p->format == PRINT_FIELDS) {
        role_fields(p, r);
        return CMD_EXIT_OK;
    }
    if (p->format != PRINT_SIMPLE) {
        return print_any(p, r);
    }
    fprintf(p->out, "Role %s\n", name);
    if (strcmp(name, "root") == 0 && r->n_perm == 0) {
        fprintf(p->out, "KV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n");
        return CMD_EXIT_OK;
    }
    fprintf(p->out, "KV Read:\n");
    simple_permissions(p, r, AUTHPB__PERMISSION__TYPE__READ);
    fprintf(p->out, "KV Write:\n");
    simple_permissions(p, r, AUTHPB__PERMISSION__TYPE__WRITE);
    return CMD_EXIT_OK;
}

static void print_lines(const struct printer *p, char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(p->out, "%s\n", items[i]);
    }
}

int print_roles(const struct printer *p, const Etcdserverpb__AuthRoleListResponse *r)
{
    if (p->format == PRINT_SIMPLE) {
        print_lines(p, r->roles, r->n_roles);
        return CMD_EXIT_OK;
    }
    if (p->format != PRINT_FIELDS) {
        return print_any(p, r);
    }
    print_header(p, r->header);
    fprintf(p->out, "\"Roles\" :");
    for (size_t i = 0; i < r->n_roles; i++) {
        fputc(' ', p->out);
        gotext_print_quoted(p->out, slice_str(r->roles[i]));
    }
    fputc('\n', p->out);
    return CMD_EXIT_OK;
}

int print_user(
    const struct printer *p, const char *name, const Etcdserverpb__AuthUserGetResponse *r)
{
    if (p->format != PRINT_SIMPLE) {
        return print_any(p, r);
    }
    fprintf(p->out, "User: %s\nRoles:", name);
    for (size_t i = 0; i < r->n_roles; i++) {
        fprintf(p->out, " %s", r->roles[i]);
    }
    fputc('\n', p->out);
    return CMD_EXIT_OK;
}

int print_users(const struct printer *p, const Etcdserverpb__AuthUserListResponse *r)
{
    if (p->format != PRINT_SIMPLE) {
        return print_any(p, r);
    }
    print_lines(p, r->users, r->n_users);
    return CMD_EXIT_OK;
}

int print_auth_status(const struct printer *p, const Etcdserverpb__AuthStatusResponse *r)
{
    if (p->format != PRINT_SIMPLE) {
        return print_any(p, r);
    }
    fprintf(p->out, "Authentication Status: %s\nAuthRevision: %" PRIu64 "\n",
        r->enabled ? "true" : "false", r->authrevision);
    return CMD_EXIT_OK;
}
