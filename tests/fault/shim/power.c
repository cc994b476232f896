/* SPDX-License-Identifier: Apache-2.0
 *
 * What a power cut would leave. KETCD_FAULT_SHADOW names a folder that gets, for each file that was
 * opened to be written or taken away, a file <id> with its durable content: filled when the file is
 * first touched, brought up to date when it is synced, and here and there, as a kernel does, by
 * itself. "journal" gets a line for what happens to names, before it happens, fields apart by tabs:
 *   I id name   a file that was there before          C id name   a new file
 *   M name      a new folder                          R from to   renamed
 *   U name      unlinked       X name   a folder removed
 *   S name      a folder was synced: what happened in it so far is durable
 *   Z -         the last one failed: it did not happen
 * The sync itself is left out: the page cache outlives the process, and nothing else does.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, BLOCK = 64 * 1024, WRITEBACK_ONE_IN = 16, PATH_BYTES = 2048 };

static const char *shadow;
static const char *prefix;
static int journal_fd = -1;
static unsigned last_id;
static uint64_t chance = 88172645463325252u;

void power_open(const char *below)
{
    char path[PATH_BYTES];
    const char *seed = getenv("KETCD_FAULT_SEED");
    shadow = getenv("KETCD_FAULT_SHADOW");
    prefix = below;
    if (!shadow) {
        return;
    }
    chance ^= seed ? strtoull(seed, NULL, 10) * 2654435761u : 0;
    snprintf(path, sizeof(path), "%s/journal", shadow);
    journal_fd = real.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal_fd < 0) {
        abort();
    }
}

bool power_is_on(void)
{
    return journal_fd >= 0;
}

static uint64_t roll(uint64_t sides)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return chance % sides;
}

static void line(const char *text)
{
    size_t len = strlen(text);
    if (real.write(journal_fd, text, len) != (ssize_t)len) {
        abort();
    }
}

void power_journal(char what, const char *name, const char *to)
{
    char text[2 * NAME_MAX_BYTES + 16];
    if (power_is_on()) {
        snprintf(text, sizeof(text), "%c\t%s%s%s\n", what, name, to ? "\t" : "", to ? to : "");
        line(text);
    }
}

static void journal_id(char what, const struct node *node)
{
    char text[NAME_MAX_BYTES + 32];
    snprintf(text, sizeof(text), "%c\t%u\t%s\n", what, node->id, node->name);
    line(text);
}

static int shadow_fd(const struct node *node)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%u", shadow, node->id);
    int fd = real.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        abort();
    }
    return fd;
}

static int live_fd(const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", prefix, name);
    return real.open(path, O_RDONLY | O_CLOEXEC);
}

/* Bytes [at, to) of one file into the other; what is beyond the first's end is left out. */
static void copy(int from_fd, int to_fd, off_t at, off_t to)
{
    static char block[BLOCK];
    while (at < to) {
        size_t want = to - at < BLOCK ? (size_t)(to - at) : BLOCK;
        ssize_t got = real.pread(from_fd, block, want, at);
        if (got <= 0 || real.pwrite(to_fd, block, (size_t)got, at) != got) {
            return;
        }
        at += got;
    }
}

static void copy_all(int from_fd, int to_fd)
{
    struct stat st;
    off_t at = 0;
    if (fstat(from_fd, &st) != 0 || real.ftruncate(to_fd, st.st_size) != 0) {
        abort();
    }
    while ((at = lseek(from_fd, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(from_fd, at, SEEK_HOLE);
        copy(from_fd, to_fd, at, end);
        at = end;
    }
}

/* A file that goes is not written any more: its bytes stay under another name. */
static void keep_going(const struct node *node)
{
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    snprintf(from, sizeof(from), "%s/%s", prefix, node->name);
    snprintf(to, sizeof(to), "%s/%u", shadow, node->id);
    if (link(from, to) != 0) {
        abort();
    }
}

/* Its shadow is the very file, by another name: it gets bytes of its own. */
static void part(const struct node *node, int live)
{
    char path[PATH_BYTES];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%u", shadow, node->id);
    if (stat(path, &st) == 0 && st.st_nlink > 1 && real.unlink(path) == 0) {
        int fd = shadow_fd(node);
        copy_all(live, fd);
        real.close(fd);
    }
}

void power_keep(const char *name, bool is_going)
{
    struct node *node = file_find(name);
    if (power_is_on() && node && node->id && !is_going) {
        int live = live_fd(name);
        part(node, live);
        real.close(live);
    }
    int fd = power_is_on() && !(node && node->id) ? live_fd(name) : -1;
    if (fd < 0) {
        return;
    }
    node = file_make(name);
    node->id = ++last_id;
    if (is_going) {
        keep_going(node);
    } else {
        int to = shadow_fd(node);
        copy_all(fd, to);
        real.close(to);
    }
    journal_id('I', node);
    real.close(fd);
}

void power_created(struct node *node)
{
    if (power_is_on()) {
        node->id = ++last_id;
        real.close(shadow_fd(node));
        journal_id('C', node);
    }
}

static void range_add(struct node *node, off_t from, off_t to)
{
    struct range *last = &node->ranges[node->ranges_count ? node->ranges_count - 1 : 0];
    if (node->ranges_count && (from == last->to || node->ranges_count == RANGES_MAX)) {
        last->from = from < last->from ? from : last->from;
        last->to = to > last->to ? to : last->to;
        return;
    }
    node->ranges[node->ranges_count++] = (struct range){from, to};
}

/* Some sectors of what was written reach the disk by themselves. */
static void write_back(const struct node *node, off_t from, off_t to)
{
    off_t sectors = (to - 1) / SECTOR - from / SECTOR + 1;
    off_t first = (from / SECTOR + (off_t)roll((uint64_t)sectors)) * SECTOR;
    off_t end = first + SECTOR * (1 + (off_t)roll(8));
    int live = live_fd(node->name);
    int fd = shadow_fd(node);
    if (live >= 0) {
        copy(live, fd, first, end < to ? end : to);
        real.close(live);
    }
    real.close(fd);
}

void power_wrote(struct node *node, off_t from, off_t to)
{
    if (power_is_on() && node->id && from < to) {
        range_add(node, from, to);
        if (roll(WRITEBACK_ONE_IN) == 0) {
            write_back(node, from, to);
        }
    }
}

void power_shortened(struct node *node, off_t bytes)
{
    if (power_is_on() && (node->cut < 0 || bytes < node->cut)) {
        node->cut = bytes;
    }
}

static void bring_up_to_date(struct node *node)
{
    struct stat st;
    struct stat old;
    int live = live_fd(node->name);
    if (live < 0) {
        return;
    }
    int fd = shadow_fd(node);
    if (fstat(live, &st) != 0 || fstat(fd, &old) != 0) {
        abort();
    }
    bool is_cut = node->cut >= 0 && node->cut < old.st_size;
    if (is_cut && real.ftruncate(fd, node->cut) != 0) {
        abort();
    }
    for (size_t i = 0; i < node->ranges_count; i++) {
        copy(live, fd, node->ranges[i].from, node->ranges[i].to);
    }
    if (real.ftruncate(fd, st.st_size) != 0) {
        abort();
    }
    real.close(fd);
    real.close(live);
}

void power_synced(struct node *node, bool is_lost)
{
    if (!power_is_on()) {
        return;
    }
    if (node->is_folder) {
        if (!is_lost) {
            power_journal('S', node->name, NULL);
        }
        return;
    }
    if (!is_lost && node->id && !node->is_gone) {
        bring_up_to_date(node);
    }
    node->ranges_count = 0;
    node->cut = -1;
}
