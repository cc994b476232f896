/* SPDX-License-Identifier: Apache-2.0
 *
 * `etcd gateway start`: a TCP proxy in front of a cluster's client ports. Main thread.
 */
#ifndef TCPPROXY_TCPPROXY_H
#define TCPPROXY_TCPPROXY_H

#include <stdbool.h>

/* Whether the command line is not a member's: "etcd gateway …", "etcd grpc-proxy …". */
bool tcpproxy_is_asked(int argc, char *const *argv);
/* Runs it until SIGTERM or SIGINT. The exit code. */
int tcpproxy_main(int argc, char **argv);

#endif
