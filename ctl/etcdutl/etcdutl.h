/* SPDX-License-Identifier: Apache-2.0
 *
 * The door: etcdutl as a function. Prints to stdout and stderr, gives the exit code. One thread,
 * once a process or more often.
 */
#ifndef ETCDUTL_ETCDUTL_H
#define ETCDUTL_ETCDUTL_H

int etcdutl_run(int argc, char **argv);

#endif
