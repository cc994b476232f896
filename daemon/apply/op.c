/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/state.h"

#include <ctype.h>

static bool is_request(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE && strcmp(field->name, "header") != 0;
}

/* Fields stand in the order of their numbers: what comes often comes first. */
unsigned apply_op_of(const Etcdserverpb__InternalRaftRequest *request)
{
    const ProtobufCMessageDescriptor *type = &etcdserverpb__internal_raft_request__descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const void *at = (const char *)request + type->fields[i].offset;
        if (is_request(&type->fields[i]) && *(void *const *)at) {
            return i;
        }
    }
    return APPLY_OPS;
}

void apply_op_name(unsigned op, char out[APPLY_OP_NAME_SIZE])
{
    const ProtobufCMessageDescriptor *type = &etcdserverpb__internal_raft_request__descriptor;
    const char *name = op < type->n_fields ? type->fields[op].name : "unknown";
    size_t len = 0;
    for (bool is_start = op < type->n_fields; *name; name++) {
        if (*name == '_') {
            is_start = true;
        } else if (len + 1 < APPLY_OP_NAME_SIZE) {
            out[len++] = is_start ? (char)toupper((unsigned char)*name) : *name;
            is_start = false;
        }
    }
    out[len] = '\0';
}
