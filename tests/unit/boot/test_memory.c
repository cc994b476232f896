/* SPDX-License-Identifier: Apache-2.0
 * Limits of control groups, as the files of both versions tell them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/memory.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char root[64];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static uint64_t limit(const char *groups)
{
    char path[256];
    write_file("groups", groups);
    snprintf(path, sizeof(path), "%s/groups", root);
    return memory_group_limit(path, root);
}

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/ketcd-memory-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_memory_takes_the_lowest_limit_upwards(void **state)
{
    (void)state;
    make_folder("system.slice");
    make_folder("system.slice/etcd.service");
    assert_int_equal(limit("0::/system.slice/etcd.service\n"), 0);
    write_file("system.slice/memory.max", "3000\n");
    write_file("system.slice/etcd.service/memory.max", "max\n");
    assert_int_equal(limit("0::/system.slice/etcd.service\n"), 3000);
    write_file("system.slice/etcd.service/memory.max", "1000\n");
    assert_int_equal(limit("0::/system.slice/etcd.service\n"), 1000);
    assert_int_equal(limit("0::/\n"), 0);
}

static void test_memory_finds_the_mount_of_a_container(void **state)
{
    (void)state;
    write_file("memory.max", "5000\n");
    assert_int_equal(limit("0::/../hosts/own/path\n"), 5000);
    assert_int_equal(limit("0::/\n"), 5000);
}

static void test_memory_knows_the_first_version(void **state)
{
    (void)state;
    make_folder("memory");
    make_folder("memory/etcd");
    write_file("memory/memory.limit_in_bytes", "9223372036854771712\n");
    write_file("memory/etcd/memory.limit_in_bytes", "7000\n");
    assert_int_equal(limit("3:cpu,cpuacct:/x\n2:hugetlb,memory:/etcd\n"), 7000);
    assert_int_equal(limit("garbage\n\n:\n"), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_memory_takes_the_lowest_limit_upwards),
        T(test_memory_finds_the_mount_of_a_container),
        T(test_memory_knows_the_first_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
