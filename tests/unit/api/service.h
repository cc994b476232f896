/* SPDX-License-Identifier: Apache-2.0
 * A service over a real member, with its threads. */
#ifndef TEST_API_SERVICE_H
#define TEST_API_SERVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/api.h"
#include "boot/storage.h"
#include "tests/shared/folder.h"

enum { SERVICE_QUOTA_BYTES = 123456789 };

struct service {
    char path[FOLDER_PATH_MAX];
    struct config config;
    struct storage storage;
    struct api *api;
};

int service_setup(void **state);
int service_teardown(void **state);

#endif
