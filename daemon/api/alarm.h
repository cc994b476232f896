/* SPDX-License-Identifier: Apache-2.0 */
#ifndef API_ALARM_H
#define API_ALARM_H

#include <rpc.pb-c.h>
#include <stdio.h>

enum { ALARM_NAME_SIZE = 12 };

/* As Go names the type: its name, or the number of one that has none. Fills out if it must. */
static inline const char *alarm_name(Etcdserverpb__AlarmType type, char out[ALARM_NAME_SIZE])
{
    static const char *const names[] = {"NONE", "NOSPACE", "CORRUPT"};
    unsigned place = (unsigned)type;
    if (place < sizeof(names) / sizeof(names[0])) {
        return names[place];
    }
    snprintf(out, ALARM_NAME_SIZE, "%d", (int)type);
    return out;
}

#endif
