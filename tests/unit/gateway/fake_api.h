/* SPDX-License-Identifier: Apache-2.0
 *
 * An api that answers from what the test sets.
 */
#ifndef TEST_FAKE_API_H
#define TEST_FAKE_API_H

#include "api/api.h"

#include <pthread.h>

struct fake {
    enum grpc_code code;
    const char *text;
    uint64_t leader;
    bool is_learner;
    int alarm;                  /* Etcdserverpb__AlarmType; 0: none */
    enum grpc_code linear_code; /* of a linearizable read */
    const char *linear_text;
    enum grpc_code end_code; /* of streams */
    const char *end_text;
    char token[64];
    char client_version[64];
    bool had_leader;
    bool was_internal;
    int64_t deadline_ns;
    int open_streams;
    int cancelled_calls;
    atomic_bool is_auth_enabled;
    size_t weighs;       /* bytes of a value, in a home */
    atomic_int emptied;  /* homes */
    atomic_int released; /* homes */
    pthread_mutex_t mutex;
};

extern struct fake fake;

void fake_reset(void);
int fake_open_streams(void);

#endif
