/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the shim share: the real calls, the rules of the control file, the files that
 * are watched, and what is known to be durable. README.md says how it is used.
 */
#ifndef FAULT_SHIM_H
#define FAULT_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Kinds of operations, as the rules' masks have them. */
enum op {
    OP_OPEN = 1,
    OP_CREATE = 2,
    OP_READ = 4,
    OP_WRITE = 8,
    OP_SYNC = 16,
    OP_TRUNCATE = 32,
    OP_ALLOCATE = 64,
    OP_RENAME = 128,
    OP_UNLINK = 256,
    OP_MKDIR = 512,
    OP_CLOSE = 1024,
    OP_SYNC_RANGE = 2048,
};

enum { NAME_MAX_BYTES = 512, RANGES_MAX = 64 };

struct real {
    int (*open)(const char *path, int flags, ...);
    ssize_t (*read)(int fd, void *out, size_t size);
    ssize_t (*write)(int fd, const void *data, size_t size);
    ssize_t (*pread)(int fd, void *out, size_t size, off_t offset);
    ssize_t (*pwrite)(int fd, const void *data, size_t size, off_t offset);
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    int (*sync_file_range)(int fd, off_t offset, off_t bytes, unsigned flags);
    int (*ftruncate)(int fd, off_t bytes);
    int (*fallocate)(int fd, int mode, off_t offset, off_t bytes);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*rmdir)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*close)(int fd);
};

extern struct real real;

struct range {
    off_t from;
    off_t to;
};

/* A file or folder below the prefix. Lives as long as the process: few are ever made. */
struct node {
    struct node *next;
    unsigned id; /* of its shadow; 0: none */
    bool is_gone;
    bool is_folder;
    char name[NAME_MAX_BYTES]; /* below the prefix */
    off_t cut;                 /* shortened to this since the last sync; -1: not */
    struct range ranges[RANGES_MAX];
    size_t ranges_count;
};

/* control.c */
void control_open(void);
/* Delays, then says how the operation ends: 0, or an errno. *out_half: a write does half of its
 * work first. */
int control_ask(enum op op, const char *name, bool *out_half);
/* By how much the wall clock is wrong. */
int64_t control_wall_ns(void);

/* power.c: every call with the turn held. Without a shadow folder they do nothing. */
void power_open(const char *prefix);
bool power_is_on(void);
/* Before name is opened to be written, or goes. */
void power_keep(const char *name, bool is_going);
void power_created(struct node *node);
void power_wrote(struct node *node, off_t from, off_t to);
void power_shortened(struct node *node, off_t bytes);
/* is_lost: the sync failed, so that what was to be written never will be. */
void power_synced(struct node *node, bool is_lost);
/* A line of the journal; to may be NULL. */
void power_journal(char what, const char *name, const char *to);

/* files.c: with the turn held, but file_of. */
struct node *file_find(const char *name);
struct node *file_make(const char *name);
void file_renamed(const char *from, const char *to);
struct node *file_of(int fd);
void file_set(int fd, struct node *node);

#endif
