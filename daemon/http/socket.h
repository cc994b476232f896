/* SPDX-License-Identifier: Apache-2.0
 *
 * How sockets of both sides are set.
 */
#ifndef HTTP_SOCKET_H
#define HTTP_SOCKET_H

/* No delay, and keep-alive as Go's: a stream whose other side vanished without a word is found
 * within minutes. What is no TCP socket has none of these; that is fine. */
void socket_tune(int fd);

#endif
