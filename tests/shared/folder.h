/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of a test's own, below TMPDIR or /tmp.
 */
#ifndef TEST_SHARED_FOLDER_H
#define TEST_SHARED_FOLDER_H

enum { FOLDER_PATH_MAX = 128 };

/* Makes it; the process ends when that fails. */
void folder_make(char path[FOLDER_PATH_MAX]);
/* Removes a folder or file and what is in it; fine when it is not there. */
void folder_remove(const char *path);

#endif
