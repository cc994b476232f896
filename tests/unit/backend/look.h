/* SPDX-License-Identifier: Apache-2.0
 * backend_check_file over a file and over its bytes in memory, which say the same. */
#ifndef TEST_BACKEND_LOOK_H
#define TEST_BACKEND_LOOK_H

#include "backend/backend.h"
#include "base/mem.h"

#include <stdio.h>
#include <sys/stat.h>

MUST static struct err look(const char *path, struct why *why)
{
    struct stat st;
    struct why of_bytes = {""};
    FILE *file = fopen(path, "rbe");
    assert_true(file && fstat(fileno(file), &st) == 0);
    uint8_t *bytes = mem_alloc((size_t)st.st_size + 1);
    assert_int_equal(fread(bytes, 1, (size_t)st.st_size, file), st.st_size);
    fclose(file);
    struct err in_memory = backend_check_file(path, slice_of(bytes, (size_t)st.st_size), &of_bytes);
    free(bytes);
    struct err err = backend_check_file(path, (struct slice){0}, why);
    assert_int_equal(in_memory.code, err.code);
    assert_true(!err_is(err) || strstr(of_bytes.text, path));
    return err;
}

#endif
