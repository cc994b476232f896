/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection's input is taken for: the head of the next request, its body, or what is left
 * of a body that nobody wanted.
 */
#ifndef HTTP_INPUT_H
#define HTTP_INPUT_H

#include "http/conn.h"

/* Takes of what has come as much as the state of the connection wants. Requests are served from
 * inside. */
void input_advance(struct conn *conn);

#endif
