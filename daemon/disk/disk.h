/* SPDX-License-Identifier: Apache-2.0
 *
 * The file system as a table of operations, so that tests can put a disk underneath that loses what
 * was not synced, tears sectors and fails on demand (disk/faulty.h). disk_real() is the machine's.
 * Every call blocks; a file is used by one thread at a time, the table by any. Failures fill why
 * with the operation, the path and the system's words.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include "base/err.h"
#include "base/slice.h"

#include <sys/types.h>

struct disk;
struct disk_file;

enum disk_flag {
    DISK_READ = 0,       /* reading only */
    DISK_WRITE = 1 << 0, /* reading and writing */
    DISK_CREATE = 1 << 1,
    DISK_EXCLUSIVE = 1 << 2, /* with DISK_CREATE: the file must not exist (EXISTS) */
    DISK_TRUNCATE = 1 << 3,
    DISK_DIRECT = 1 << 4, /* what is written aligned need not stay in the page cache */
};

/* Writes are aligned that begin at a multiple of this, from memory that does, and are as long. */
enum { DISK_BLOCK = 4096 };

struct disk_stat {
    uint64_t bytes;
    bool is_folder;
};

/* Names in a folder without "." and "..", ascending bytewise. */
struct disk_names {
    char **names;
    size_t count;
};

/* One operation each; a disk is a struct whose first member is this table's address. Wrapped by the
 * calls below. */
struct disk_ops {
    struct err (*open)(struct disk *disk, const char *path, unsigned flags, mode_t mode,
        struct disk_file **out, struct why *why);
    void (*close)(struct disk_file *file);
    struct err (*read)(struct disk_file *file, uint64_t offset, void *out, size_t size,
        size_t *out_size, struct why *why);
    struct err (*write)(
        struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why);
    struct err (*sync)(struct disk_file *file, bool is_data_only, struct why *why);
    void (*begin_sync)(struct disk_file *file);
    struct err (*truncate)(struct disk_file *file, uint64_t bytes, struct why *why);
    struct err (*allocate)(struct disk_file *file, uint64_t bytes, struct why *why);
    struct err (*lock)(struct disk_file *file, struct why *why);
    struct err (*size)(struct disk_file *file, uint64_t *out_bytes, struct why *why);
    struct err (*rename)(struct disk *disk, const char *from, const char *to, struct why *why);
    struct err (*remove)(struct disk *disk, const char *path, struct why *why);
    struct err (*mkdir)(struct disk *disk, const char *path, mode_t mode, struct why *why);
    struct err (*list)(
        struct disk *disk, const char *path, struct disk_names *out, struct why *why);
    struct err (*sync_folder)(struct disk *disk, const char *path, struct why *why);
    struct err (*stat)(struct disk *disk, const char *path, struct disk_stat *out, struct why *why);
    struct err (*free_bytes)(
        struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why);
};

struct disk {
    const struct disk_ops *ops;
};

/* Every file handle of any disk begins with this. */
struct disk_file {
    struct disk *disk;
};

/* The machine's. Static. */
struct disk *disk_real(void);

/* flags: enum disk_flag. mode: for a file that is made. Errors: ABSENT, EXISTS, DENIED, NO_DISK,
 * IO. */
MUST struct err disk_open(struct disk *disk, const char *path, unsigned flags, mode_t mode,
    struct disk_file **out, struct why *why);
/* Releases its lock too. NULL is fine. */
void disk_close(struct disk_file *file);
/* Reads up to size bytes at offset; fewer only at the end of the file. */
MUST struct err disk_read(struct disk_file *file, uint64_t offset, void *out, size_t size,
    size_t *out_size, struct why *why);
/* Writes all of it at offset, or fails with any part of it written. */
MUST struct err disk_write(
    struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why);
/* After a failure the file's state is unknown: never retry. */
MUST struct err disk_sync_data(struct disk_file *file, struct why *why);
MUST struct err disk_sync(struct disk_file *file, struct why *why);
/* A sync follows soon: the disk may begin with what was written. Promises nothing, and tells of no
 * failure: the sync does. */
void disk_begin_sync(struct disk_file *file);
MUST struct err disk_truncate(struct disk_file *file, uint64_t bytes, struct why *why);
/* Space for bytes from the start, reading as zeros behind the old end; the file's size grows to it.
 * A file system that cannot preallocate gets a longer sparse file. */
MUST struct err disk_allocate(struct disk_file *file, uint64_t bytes, struct why *why);
/* Exclusive, against other processes and other handles (flock). Errors: LOCKED. */
MUST struct err disk_lock(struct disk_file *file, struct why *why);
MUST struct err disk_size(struct disk_file *file, uint64_t *out_bytes, struct why *why);

/* Replaces what is at to. */
MUST struct err disk_rename(struct disk *disk, const char *from, const char *to, struct why *why);
/* A file or an empty folder. An open file lives on without a name until it is closed. */
MUST struct err disk_remove(struct disk *disk, const char *path, struct why *why);
/* Errors: EXISTS, ABSENT (the parent). */
MUST struct err disk_mkdir(struct disk *disk, const char *path, mode_t mode, struct why *why);
MUST struct err disk_list(
    struct disk *disk, const char *path, struct disk_names *out, struct why *why);
void disk_names_fini(struct disk_names *names);
/* Makes renames, new and removed names in the folder durable. */
MUST struct err disk_sync_folder(struct disk *disk, const char *path, struct why *why);
/* Errors: ABSENT. */
MUST struct err disk_stat(
    struct disk *disk, const char *path, struct disk_stat *out, struct why *why);
/* What an unprivileged writer may still take on the file system that holds path. */
MUST struct err disk_free_bytes(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why);

/* Made of the above. */

bool disk_exists(struct disk *disk, const char *path);
/* disk_sync_folder of the folder that holds path. */
MUST struct err disk_sync_parent(struct disk *disk, const char *path, struct why *why);
/* Makes the folder and its parents; each new one is synced into its parent. Fine when it is there.
 */
MUST struct err disk_mkdir_all(struct disk *disk, const char *path, mode_t mode, struct why *why);
/* Removes a tree; fine when it is not there. */
MUST struct err disk_remove_all(struct disk *disk, const char *path, struct why *why);
/* Whole file; bytes_max guards memory. Gives *out (free()). Errors: TOO_BIG and disk_open's. */
MUST struct err disk_read_file(struct disk *disk, const char *path, size_t bytes_max, uint8_t **out,
    size_t *out_size, struct why *why);
/* Atomic replacement: path.tmp is written and synced, renamed, the folder synced. */
MUST struct err disk_write_file(
    struct disk *disk, const char *path, struct slice bytes, mode_t mode, struct why *why);
/* folder/name in new memory. Gives. */
char *disk_path(const char *folder, const char *name);

#endif
