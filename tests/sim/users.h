/* SPDX-License-Identifier: Apache-2.0
 *
 * Access control in the clients' mix: an administrator who makes users and roles, takes and gives
 * what they may, and sometimes turns it off and on; and who each client is, by certificate or by a
 * token that it shows a password for. Nothing of it unless the plan has it.
 */
#ifndef SIM_USERS_H
#define SIM_USERS_H

#include "client.h"

/* Who a client is: drawn once, at its start. */
enum user_kind {
    USER_NONE, /* no access control */
    USER_ROOT,
    USER_BY_CERTIFICATE,
    USER_BY_TOKEN,
};

struct user {
    enum user_kind kind;
    const char *name;
    char *token; /* NULL: none yet, or it was refused */
};

void users_start(void);
bool users_are_done(void);
void user_draw(struct user *user);
/* The next call of this fiber is this user's; call says so to the history. NULL: root's. May ask
 * that member for a token before. */
void user_speak(struct user *user, struct machine *machine, struct history_call *call);
/* The token was refused: another one is asked for. */
void user_forget_token(struct user *user);

#endif
