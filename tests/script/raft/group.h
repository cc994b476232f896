/* SPDX-License-Identifier: Apache-2.0
 *
 * A group of members in one process, as etcd's scenario files drive it: messages lie in one queue
 * until they are delivered, disk and apply work until it is processed.
 */
#ifndef GROUP_H
#define GROUP_H

#include "raft/log.h"
#include "script.h"

enum { GROUP_MAX = 16 };

/* Work for the disk or the apply thread, and what it answers when it is done. */
struct work {
    struct raft_message head;
    struct raft_message *answers;
    size_t answers_count;
};

struct work_queue {
    struct work items[64];
    size_t count;
};

struct node {
    struct raft *raft;
    struct raft_options options;
    bool is_async;
    struct raft_snapshot_meta last; /* what was applied last, as a snapshot would say it */
    struct raft_log disk;           /* what was persisted, reported or not */
    struct work_queue append;
    struct work_queue apply;
};

struct group {
    struct node nodes[GROUP_MAX];
    size_t count;
    struct raft_message *messages;
    size_t messages_count;
    size_t messages_cap;
    struct buf *out;
    bool is_quiet;
    const struct script_case *c;
};

void group_init(struct group *group);
void group_fini(struct group *group);
/* False when the command is another's. */
bool group_handle(struct group *group, const struct script_case *c, struct buf *out);

/* work.c: what a node does with an update, and its threads */
void group_print(struct group *group, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void group_queue(struct group *group, struct raft_message message);
void group_print_message(struct group *group, const struct raft_message *message, int indent);
/* Runs body with its output indented. */
void group_indented(
    struct group *group, void (*body)(struct group *group, struct node *node), struct node *node);
void node_process_ready(struct group *group, struct node *node);
void node_process_append(struct group *group, struct node *node);
void node_process_apply(struct group *group, struct node *node);
void node_fini(struct node *node);

#endif
