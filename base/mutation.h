/* SPDX-License-Identifier: Apache-2.0
 *
 * Bugs planted on purpose: a test that never met one may see none. In the program sim_mutant
 * MUTATE(NAME) is whether that bug was chosen; everywhere else it is the constant false, and
 * nothing of it is left. tests/sim/MUTANTS.md says what each of them is.
 */
#ifndef BASE_MUTATION_H
#define BASE_MUTATION_H

#include <stdbool.h>

#ifdef KETCD_MUTATIONS
#define MUTATE(name) mutation_is(#name)
#else
#define MUTATE(name) false
#endif

bool mutation_is(const char *name);
/* NULL: none, as at the start. Lent. */
void mutation_choose(const char *name);

#endif
