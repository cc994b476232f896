/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that two members of etcd 3.5.30 sent each other: what raftpb and the streams look like.
 * From member a6328f4c8ea6650f, the leader, to a276b26b93dde400 unless said.
 */
#ifndef TESTS_PEER_CAPTURED_H
#define TESTS_PEER_CAPTURED_H

#include "base/buf.h"

#include <stdlib.h>

#define LEADER UINT64_C(0xa6328f4c8ea6650f)
#define FOLLOWER UINT64_C(0xa276b26b93dde400)

/* Follower to leader, the answer to an append: index 3. */
#define CAPTURED_APP_RESP                                                                          \
    "0804108fca99f5c8e9a399a6011880c8f79eb9cdacbba20120022800300340004a0a12080a022800100018005000" \
    "5"                                                                                            \
    "800"
/* Follower to leader, a forwarded proposal: a put of "hello". */
#define CAPTURED_PROP                                                                              \
    "0802108fca99f5c8e9a399a6011880c8f79eb9cdacbba2012000280030003a26080010001800221e220e0a056865" \
    "6c6c6f1205776f726c64a2060b0882c28cc5cdbfa880e40140004a0a12080a0228001000180050005800"
#define CAPTURED_READ_INDEX                                                                        \
    "080f108fca99f5c8e9a399a6011880c8f79eb9cdacbba2012000280030003a100800100018002208e400a1fcd8a3" \
    "210340004a0a12080a0228001000180050005800"
#define CAPTURED_HEARTBEAT                                                                         \
    "08081080c8f79eb9cdacbba201188fca99f5c8e9a399a60120022800300040064a0a12080a022800100018005000" \
    "58"                                                                                           \
    "00"
#define CAPTURED_LINK_HEARTBEAT "08081000180020002800300040004a0a12080a0228001000180050005800"

/* The msgapp stream from its beginning: the leader's first append (entry 3), entries 4 and 5 (two
 * members' attributes), 6 (the cluster's version), commits up to 6, two link heartbeats, entry 7
 * (the put of "hello"), its commit. */
#define CAPTURED_MSGAPP                                                                            \
    "02000000000000003808031080c8f79eb9cdacbba201188fca99f5c8e9a399a6012002280130023a0608001002"   \
    "180340024a0a12080a0228001000180050005800010000000000000002000000000000008d0800100218042284"   \
    "010881dc8bc5cdbfe8876512035055541a262f302f6d656d626572732f61363332386634633865613636353066"   \
    "2f6174747269627574657322347b226e616d65223a2242222c22636c69656e7455524c73223a5b22687474703a"   \
    "2f2f3132372e302e302e313a3233303132225d7d28003200380048005000580060006800700078008001000000"   \
    "00000000008e0800100218052285010881c28cc5cdbfa880e40112035055541a262f302f6d656d626572732f61"   \
    "3237366232366239336464653430302f6174747269627574657322347b226e616d65223a2241222c22636c6965"   \
    "6e7455524c73223a5b22687474703a2f2f3132372e302e302e313a3233303131225d7d28003200380048005000"   \
    "580060006800700078008001000000000000000003010000000000000001000000000000004108001002180622"   \
    "390882dc8bc5cdbfe8876512035055541a0a2f302f76657273696f6e2205332e352e3028003200380048005000"   \
    "580060006800700078008001000000000000000003010000000000000000000000000000000501000000000000"   \
    "0000000000000000000600000100000000000000010000000000000026080010021807221e220e0a0568656c6c"   \
    "6f1205776f726c64a2060b0882c28cc5cdbfa880e4010000000000000006010000000000000000000000000000"   \
    "0007"

static inline void from_hex(const char *text, struct buf *out)
{
    for (; *text; text += 2) {
        char digits[3] = {text[0], text[1], 0};
        buf_add_byte(out, (uint8_t)strtoul(digits, NULL, 16));
    }
}

#endif
