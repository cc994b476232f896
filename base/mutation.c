/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutation.h"

#include <stddef.h>
#include <string.h>

static const char *chosen;

void mutation_choose(const char *name)
{
    chosen = name;
}

bool mutation_is(const char *name)
{
    return chosen && strcmp(chosen, name) == 0;
}
