/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/files.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct err pki_owner_parse(const char *text, struct pki_owner *out_owner, struct why *why)
{
    struct pki_owner owner = {(uid_t)-1, (gid_t)-1};
    if (text != NULL) {
        const char *colon = strchrnul(text, ':');
        char user[64];
        snprintf(user, sizeof(user), "%.*s", (int)(colon - text), text);
        const struct passwd *found = getpwnam(user);
        if (found == NULL) {
            return why_set(why, ERR(BAD_INPUT), "owner \"%s\": no such user", user);
        }
        owner = (struct pki_owner){found->pw_uid, found->pw_gid};
        if (*colon == ':') {
            const struct group *group = getgrnam(colon + 1);
            if (group == NULL) {
                return why_set(why, ERR(BAD_INPUT), "owner \"%s\": no such group", colon + 1);
            }
            owner.gid = group->gr_gid;
        }
    }
    *out_owner = owner;
    return OK;
}

/* The umask is of whoever runs, the folder for whoever owns the files in it. Not by a chmod behind:
 * by then the path may lead elsewhere. */
static struct err make_one(const char *path, struct why *why)
{
    mode_t was = umask(022);
    int code = mkdir(path, 0755) == 0 ? 0 : errno;
    umask(was);
    return code == 0 || code == EEXIST ? OK : why_errno(why, code, "make folder %s", path);
}

struct err pki_dir_make(const char *dir, struct why *why)
{
    struct err e = OK;
    char *path = mem_strdup(dir);
    for (char *at = path + 1; !err_is(e); at++) {
        char was = *at;
        if (was != '/' && was != '\0') {
            continue;
        }
        *at = '\0';
        e = make_one(path, why);
        *at = was;
        if (was == '\0') {
            break;
        }
    }
    struct stat st;
    if (!err_is(e) && stat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) {
        e = why_set(why, ERR(BAD_INPUT), "%s is not a folder", dir);
    }
    free(path);
    return e;
}

struct err pki_dir_sync(const char *dir, struct why *why)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return why_errno(why, errno, "open folder %s", dir);
    }
    struct err e = OK;
    if (fsync(fd) != 0) {
        e = why_errno(why, errno, "sync folder %s", dir);
    }
    close(fd);
    return e;
}

struct err pki_file_remove(const char *dir, const char *path, struct why *why)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return why_errno(why, errno, "remove %s", path);
    }
    return pki_dir_sync(dir, why);
}

static struct err read_all(int fd, const char *path, struct slice *out_bytes, struct why *why)
{
    size_t len = 0;
    size_t cap = 16 * 1024;
    uint8_t *data = mem_alloc(cap);
    for (;;) {
        ssize_t got = read(fd, data + len, cap - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            free(data);
            return why_errno(why, errno, "read %s", path);
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
        if (len > PKI_FILE_BYTES_MAX) {
            free(data);
            return why_set(
                why, ERR(TOO_BIG), "%s is larger than %d bytes", path, PKI_FILE_BYTES_MAX);
        }
        if (len == cap) {
            cap *= 2;
            data = mem_grow(data, cap);
        }
    }
    *out_bytes = slice_of(data, len);
    return OK;
}

struct err pki_file_read(
    const char *path, struct slice *out_bytes, mode_t *out_mode, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return why_errno(why, errno, "open %s", path);
    }
    struct stat st;
    struct err e = OK;
    if (fstat(fd, &st) != 0) {
        e = why_errno(why, errno, "stat %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        e = why_set(why, ERR(BAD_INPUT), "%s is not a regular file", path);
    } else {
        e = read_all(fd, path, out_bytes, why);
    }
    if (!err_is(e)) {
        *out_mode = st.st_mode & 07777;
    }
    close(fd);
    return e;
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.data, bytes.len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return -1;
        }
        bytes = slice_of(bytes.data + put, bytes.len - (size_t)put);
    }
    return 0;
}

struct err pki_file_write(
    const char *path, struct slice bytes, mode_t mode, struct pki_owner owner, struct why *why)
{
    struct err e = OK;
    char *beside = mem_printf("%s.XXXXXX", path);
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0) {
        e = why_errno(why, errno, "create %s", beside);
        free(beside);
        return e;
    }
    if (write_all(fd, bytes) != 0) {
        e = why_errno(why, errno, "write %s", path);
        goto out;
    }
    if (fchmod(fd, mode) != 0) {
        e = why_errno(why, errno, "set the mode of %s", path);
        goto out;
    }
    if ((owner.uid != (uid_t)-1 || owner.gid != (gid_t)-1) &&
        fchown(fd, owner.uid, owner.gid) != 0) {
        e = why_errno(why, errno, "set the owner of %s", path);
        goto out;
    }
    if (fsync(fd) != 0) {
        e = why_errno(why, errno, "sync %s", path);
        goto out;
    }
    if (rename(beside, path) != 0) {
        e = why_errno(why, errno, "rename to %s", path);
    }
out:
    close(fd);
    if (err_is(e)) {
        unlink(beside);
    }
    free(beside);
    return e;
}
