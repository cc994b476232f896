# SPDX-License-Identifier: Apache-2.0
"""The differences that are right: see KNOWN.md."""
SORT_ERROR = ("INVALID_ARGUMENT", "etcdserver: invalid sort option")
RANGE_ERRORS = (("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"),
                ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"))
PUT_ERRORS = (("INVALID_ARGUMENT", "etcdserver: key not found"),
              ("NOT_FOUND", "etcdserver: requested lease not found"))
COLUMNS = (None, "version", "create_revision", "mod_revision", "value")
# Up to here the reference sorts by insertion, which is stable.
INSERTION_SORT = 12
STATUS = ("version", "dbSize", "dbSizeInUse", "storageVersion", "dbSizeQuota", "downgradeInfo")


def forget(name, answer, first_index):
    """Clears what cannot be compared."""
    if name == "Status":
        for field in STATUS:
            answer.ClearField(field)
        answer.raftIndex -= first_index
        answer.raftAppliedIndex -= first_index
        answer.errors[:] = sorted(answer.errors)
    elif name == "HashKV":
        answer.ClearField("hash_revision")
    elif name == "LeaseTimeToLive":
        if answer.TTL > 0:
            answer.TTL = answer.grantedTTL - (answer.grantedTTL - answer.TTL) // 60
        answer.keys[:] = sorted(answer.keys)
    return answer


def is_known(name, request, *outcomes):
    """Whether our outcome, which differs, is the one wanted."""
    if name == "Range" and (request.sort_order not in range(3)
                            or request.sort_target not in range(5)):
        return outcomes[0] == SORT_ERROR
    if name == "Txn" and all(isinstance(one, tuple) for one in outcomes):
        return outcomes[0] in RANGE_ERRORS and outcomes[1] in PUT_ERRORS
    return name == "Range" and ties_differ(request, *outcomes)


def ties_differ(request, ours, theirs):
    """Of many keys that compare equal, the reference's order is its sort's whim: the rest must
    agree, and the keys too when there was no limit."""
    column = COLUMNS[request.sort_target]
    if not column or isinstance(ours, tuple) or isinstance(theirs, tuple):
        return False
    if not request.limit and sorted(map(text, ours.kvs)) != sorted(map(text, theirs.kvs)):
        return False
    columns = [[getattr(kv, column) for kv in one.kvs] for one in (ours, theirs)]
    return (columns[0] == columns[1] and ours.count > INSERTION_SORT
            and (ours.header, ours.more, ours.count) == (theirs.header, theirs.more, theirs.count))


def text(message):
    return message.SerializeToString()
