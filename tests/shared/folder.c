/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/shared/folder.h"

#include "base/err.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void folder_make(char path[FOLDER_PATH_MAX])
{
    const char *base = getenv("TMPDIR");
    int len = snprintf(path, FOLDER_PATH_MAX, "%s/ketcd-test-XXXXXX", base ? base : "/tmp");
    check(len > 0 && len < FOLDER_PATH_MAX);
    check(mkdtemp(path) == path);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void folder_remove(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
