/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a key folder: read whole with a limit, written atomically (beside, synced, renamed).
 */
#ifndef PKI_FILES_H
#define PKI_FILES_H

#include "base/err.h"
#include "base/slice.h"

#include <sys/types.h>

#define PKI_FILE_BYTES_MAX (1024 * 1024)

struct pki_owner {
    uid_t uid; /* (uid_t)-1: leave */
    gid_t gid;
};

/* "user" or "user:group"; NULL leaves files to whoever runs. Errors: BAD_INPUT. */
MUST struct err pki_owner_parse(const char *text, struct pki_owner *out_owner, struct why *why);

/* Makes the folder and its parents (0755, whatever the umask); what is there stays as it is.
 * Errors: by errno. */
MUST struct err pki_dir_make(const char *dir, struct why *why);
/* Syncs the folder, so that the renames in it last. */
MUST struct err pki_dir_sync(const char *dir, struct why *why);

/* The file is gone when a crash comes after it, too; fine when it was not there. Errors: by errno.
 */
MUST struct err pki_file_remove(const char *dir, const char *path, struct why *why);
/* Gives the bytes and the mode (free() the data). Errors: ABSENT, TOO_BIG, by errno. */
MUST struct err pki_file_read(
    const char *path, struct slice *out_bytes, mode_t *out_mode, struct why *why);
/* Replaces the file at once, or not at all. Errors: by errno. */
MUST struct err pki_file_write(
    const char *path, struct slice bytes, mode_t mode, struct pki_owner owner, struct why *why);

#endif
