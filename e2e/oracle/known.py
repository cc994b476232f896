# SPDX-License-Identifier: Apache-2.0
"""The differences that are right: see KNOWN.md."""
import json
import re

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from lib.api import MESSAGES

from .script import request_type

SORT_ERROR = ("INVALID_ARGUMENT", "etcdserver: invalid sort option")
RANGE_ERRORS = (("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"),
                ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"))
PUT_ERRORS = (("INVALID_ARGUMENT", "etcdserver: key not found"),
              ("NOT_FOUND", "etcdserver: requested lease not found"))
COLUMNS = (None, "version", "create_revision", "mod_revision", "value")
# Up to here the reference sorts by insertion, which is stable.
INSERTION_SORT = 12
NO_DOWNGRADE = ("FAILED_PRECONDITION", "etcdserver: no inflight downgrade job")
DENIED = ("PERMISSION_DENIED", "etcdserver: permission denied")
UPKEEP = ("HashKV", "Hash", "Snapshot", "Defragment")
# What is known of these hangs on the outcomes alone.
BY_OUTCOME = ("Txn", "Status", "Downgrade", *UPKEEP)
# Behind a request, and behind a message of a stream.
MALFORMED = ("grpc: error unmarshalling request: ",
             "grpc: failed to unmarshal the received message: ")
ROOT = MESSAGES["authpb.Permission"](permType="READWRITE", range_end=b"\0")
ROOT_JSON = '"perm":[{"permType":"READWRITE", "range_end":"AA=="}]'
LEASE = re.compile(r'\{"ID":"(-?\d+)"\}')
LONG = re.compile(r"(\w)\1{20,}")
STATUS = ("version", "dbSize", "dbSizeInUse", "storageVersion", "dbSizeQuota", "downgradeInfo")


class Difference(Exception):
    """Found at a line: what each side said."""

    def __init__(self, name, ours, theirs):
        super().__init__(f"ours:      {ours}\nreference: {theirs}")
        self.name = name


def shown(outcome):
    if isinstance(outcome, tuple):
        return f"{outcome[0]} {outcome[1]}"
    if isinstance(outcome, list):
        return " | ".join(shown(one) for one in outcome)
    if outcome is None or isinstance(outcome, (str, int)):
        return str(outcome)
    text = LONG.sub(r"<\1*many>", text_format.MessageToString(outcome, as_one_line=True))
    return text if len(text) < 1500 else text[:1500] + "…"


def forget(name, answer, first_index):
    """Clears what cannot be compared."""
    if name == "Status":
        for field in STATUS:
            answer.ClearField(field)
        answer.raftIndex -= first_index
        answer.raftAppliedIndex -= first_index
        answer.errors[:] = sorted(answer.errors)
    elif name == "Alarm":
        alarms = sorted(answer.alarms, key=lambda one: (one.memberID, one.alarm))
        del answer.alarms[:]
        answer.alarms.extend(alarms)
    elif name == "HashKV":
        answer.ClearField("hash_revision")
    elif name == "LeaseTimeToLive":
        if 0 < answer.TTL <= answer.grantedTTL:
            answer.TTL = answer.grantedTTL
        answer.keys[:] = sorted(answer.keys)
    elif name == "RoleGet":
        perms = sorted(answer.perm, key=permission_key)
        if [one.key for one in perms] == [one.key for one in answer.perm]:
            del answer.perm[:]
            answer.perm.extend(perms)
    elif name == "Hash":
        answer.ClearField("hash")
    elif name.startswith("Member"):
        members = sorted(answer.members, key=lambda one: (one.isLearner, *one.peerURLs))
        del answer.members[:]
        answer.members.extend(members)
    return answer


def is_known(name, request, *outcomes):
    """Whether our outcome, which differs, is the one wanted."""
    if name == "Range" and (request.sort_order not in range(3)
                            or request.sort_target not in range(5)):
        return outcomes[0] == SORT_ERROR
    if name == "Txn" and all(isinstance(one, tuple) for one in outcomes):
        return outcomes[0] in RANGE_ERRORS and outcomes[1] in PUT_ERRORS
    if name == "Raw":
        return raw_is_known(*request[1:], *outcomes)
    if name == "Status":
        return not isinstance(outcomes[0], tuple) and outcomes[1] == DENIED
    if name == "Downgrade":
        return not isinstance(outcomes[0], tuple) and outcomes[1] == NO_DOWNGRADE
    if name == "Json" and request.endswith("/status") and "/maintenance/" in request:
        return outcomes[0].startswith("200 ") and DENIED[1] in outcomes[1]
    if name == "Json" and request.endswith("/downgrade"):
        return outcomes[0].startswith("200 ") and NO_DOWNGRADE[1] in outcomes[1]
    if name in UPKEEP and all(isinstance(one, tuple) for one in outcomes):
        return outcomes[1] == ("UNKNOWN", outcomes[0][1].replace("etcdserver: ", "auth: "))
    if name == "Json" and request.endswith("/defragment") and '"code":2, "message":"auth: ' in \
            outcomes[1]:
        return outcomes[1].split('"auth: ')[1] == outcomes[0].split('"etcdserver: ')[-1]
    if name == "RoleGet" and request.role == "root":
        return not isinstance(outcomes[0], tuple) and [ROOT] == list(outcomes[0].perm)
    if name == "Json" and SORT_ERROR[1] in outcomes[0]:
        return True
    if name == "Json" and "contains invalid UTF-8" in outcomes[1]:
        return outcomes[0].startswith("200 ")
    if name == "LeaseLeases" and all(not isinstance(one, tuple) for one in outcomes):
        return neighbours([lease.ID for lease in outcomes[0].leases],
                          [lease.ID for lease in outcomes[1].leases])
    if name == "Json" and request.endswith("/leases"):
        return neighbours(*(LEASE.findall(one) for one in outcomes))
    if name == "Json" and request.endswith("/role/get"):
        return ROOT_JSON in outcomes[0] or json_role_is_known(*outcomes)
    if name == "Json" and request.endswith("/txn"):
        return all(any(f'"message":"{error[1]}"' in one for error in errors)
                   for one, errors in zip(outcomes, (RANGE_ERRORS, PUT_ERRORS)))
    return name == "Range" and ties_differ(request, *outcomes)


def neighbours(ours, theirs):
    """Leases whose ends are so close that the time between two requests decides who is first: two
    that stand next to each other may have changed places."""
    apart = [at for at, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]]
    return len(ours) == len(theirs) and len(apart) == 2 and apart[1] == apart[0] + 1 \
        and sorted(ours) == sorted(theirs)


def permission_key(one):
    """Of permissions with the same key, the order is the reference's unstable sort's."""
    return one.key, one.range_end, one.permType


def json_role_is_known(*outcomes):
    try:
        bodies = [json.loads(one[one.index("{"):]) for one in outcomes]
    except ValueError:
        return False
    for body in bodies:
        body.get("perm", []).sort(key=json.dumps)
    return len(outcomes[0]) == len(outcomes[1]) and bodies[0] == bodies[1]


def raw_is_known(data, name, ours, theirs):
    """Refused by both, in other words; or by us, for protobuf forbids it."""
    if ours == SORT_ERROR:
        return True
    if name in BY_OUTCOME and is_known(name, None, ours, theirs):
        return True
    if not isinstance(ours, tuple) or not ours[1].startswith(MALFORMED):
        return False
    if isinstance(theirs, tuple) and theirs[1].startswith(MALFORMED):
        return theirs[0] == ours[0] and theirs[1].split(": ")[1] == ours[1].split(": ")[1]
    if not name:
        return is_forbidden(data)
    try:
        request_type(name).FromString(data)
    except DecodeError:
        return True
    return is_forbidden(data)


def varint(data, at):
    number = shift = 0
    while at < len(data) and shift < 70:
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            break
    return number, at


def is_forbidden(data):
    """Whether somewhere in it is a tag that no message may have; Python's parser lets some pass."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if not 8 <= tag < 1 << 32 or tag & 7 in (3, 4, 6, 7):
            return True
        if tag & 7 == 0:
            number, at = varint(data, at)
            if number >= 1 << 64:
                return True
        elif tag & 7 == 2:
            size, at = varint(data, at)
            if is_forbidden(data[at:at + size]):
                return True
            at += size
        else:
            at += 8 if tag & 7 == 1 else 4
    return False


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
