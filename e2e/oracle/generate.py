# SPDX-License-Identifier: Apache-2.0
"""Random scripts: valid requests, odd ones and wrong ones. The same seed, the same script."""
import random
import re

from .generate_auth import Auth
from .generate_odd import as_bytes, as_json
from .generate_service import Service, members_flags

KEYS = [b"a", b"a/1", b"a/2", b"a/3", b"a\x00", b"b", b"b/1", b"c", b"d", b"\x00", b"\xff",
        b"\xff\xff", b"z", b"/registry/pods/x", b"/registry/pods/y", b"\xc3\xa9"]
ENDS = KEYS + [b"\x00", b"\x00", b"a0", b"b0", b"/registry/pods0", b"\xff\xff\xff"]
VALUES = [b"", b"1", b"2", b"x", b"\x00\xff", b"value", b"<v*200>", b"<w*3000>"]
NUMBERS = [0, 0, 1, 2, 3, 5, -1, 9223372036854775807, -9223372036854775808]
REVISIONS = ["<rev>", "<rev-1>", "<rev-2>", "<rev-3>", "<rev-5>", "<rev-9>", "<rev-30>"]
ODD_REVISIONS = ["<rev+1>", "<rev+9>", "1", "0", "-1", "9223372036854775807",
                 "-9223372036854775808"]
LEASE_IDS = [1, 2, 3, 7, 1000, 9223372036854775807]
SORT_ORDERS = ["NONE", "ASCEND", "DESCEND"]
SORT_TARGETS = ["KEY", "VERSION", "CREATE", "MOD", "VALUE"]
WEIGHTS = {
    "put": 300, "get": 220, "delete": 60, "txn": 200, "compact": 12, "grant": 25, "revoke": 15,
    "ttl": 15, "leases": 8, "keepalive": 10, "short_lease": 2, "watch": 35, "cancel": 12,
    "progress": 3, "close": 3, "sync": 8, "hash": 12, "status": 4, "members": 3, "auth_status": 2,
    "alarm": 3, "alarm_pair": 2, "big": 1, "move": 1, "odd_watch": 2, "json": 50, "raw": 25,
    "about": 78,
}
# One sequence in so many is about users; one request in so many has a lease run out.
AUTH_EVERY, EXPIRY_EVERY = 4, 1500


def quoted(data):
    """Bytes in protobuf text; <macros> stay readable."""
    safe = (chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:03o}" for c in data)
    return '"' + "".join(safe) + '"'


def fields(**given):
    """Protobuf text of the fields that are given."""
    parts = []
    for name, value in given.items():
        if value is None or value is False:
            continue
        if value is True:
            value = "true"
        elif isinstance(value, bytes):
            value = quoted(value)
        parts.append(f"{name}: {value}")
    return " ".join(parts)


class Generator:
    """Lines of a script, one call of next() after the other."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.labels = 0
        self.later = []
        # Ids that the sides choose differ, and with them the hash of what is attached to them.
        self.attach_chosen = self.random.random() < 0.5
        self.auth = Auth(self) if seed % AUTH_EVERY == 0 else None
        self.service = Service(self)
        self.flags = members_flags(seed)

    def script(self, count):
        lines = [f"Member {flag}" for flag in self.flags]
        lines += self.auth.prelude() if self.auth else []
        while len(lines) < count:
            lines += self.next()
            if self.chance(1 / EXPIRY_EVERY) and not self.auth:
                lines += self.service.expiry()
        return lines[:count] + ["Sync"]

    def next(self):
        if self.later and self.chance(0.3):
            return [self.later.pop(0)]
        name = self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
        made = self.auth.next() if self.auth and self.chance(0.3) else getattr(self, name)()
        return made if isinstance(made, list) else [made]

    def chance(self, share):
        return self.random.random() < share

    def pick(self, options):
        return self.random.choice(options)

    def key(self):
        return None if self.chance(0.01) else self.pick(KEYS)

    def end(self, share=0.5, key=None):
        """With users, none that lies before its key: what the reference says of who may use such
        a range hangs on the shape of its tree."""
        end = self.pick(ENDS) if self.chance(share) else None
        return None if end and self.auth and b"\x00" != end <= (key or b"") else end

    def revision(self, odd=0.15):
        return self.pick(ODD_REVISIONS if self.chance(odd) else REVISIONS)

    def lease(self, wild=False):
        if self.labels and (wild or self.attach_chosen) and self.chance(0.4):
            return f"<L{self.random.randint(max(1, self.labels - 5), self.labels)}>"
        return self.pick(LEASE_IDS + ([0, -1, 999] if self.chance(0.2) else []))

    def range_fields(self, wild=True):
        rarely = self.chance
        limit = self.pick([1, 2, 3, 5, 100] + ([-1, 9223372036854775807] if rarely(0.1) else []))
        order = self.pick(SORT_ORDERS) if rarely(0.4) else None
        target = self.pick(SORT_TARGETS) if rarely(0.4) else None
        if wild and rarely(0.01):
            order = self.pick([7, -1])
        key = self.key()
        end = self.end(0.7, key)
        if target and not wild:
            key, end = self.pick([b"a", b"a/1", b"z"]), self.pick([None, b"a0"])
            end = None if end and self.auth and end <= key else end
        return fields(key=key, range_end=end,
                      limit=limit if rarely(0.4) else None,
                      revision=self.revision() if rarely(0.3) else None,
                      sort_order=order, sort_target=target, serializable=rarely(0.2),
                      keys_only=rarely(0.1), count_only=rarely(0.1),
                      min_mod_revision=self.revision() if rarely(0.06) else None,
                      max_mod_revision=self.revision() if rarely(0.06) else None,
                      min_create_revision=self.revision() if rarely(0.06) else None,
                      max_create_revision=self.revision() if rarely(0.06) else None)

    def put_fields(self):
        ignore_value, ignore_lease = self.chance(0.06), self.chance(0.06)
        value = None if ignore_value and self.chance(0.8) else self.pick(VALUES)
        lease = self.lease() if self.chance(0.2) else None
        if ignore_lease and self.chance(0.8):
            lease = None
        return fields(key=self.key(), value=value, lease=lease, prev_kv=self.chance(0.3),
                      ignore_value=ignore_value, ignore_lease=ignore_lease)

    def delete_fields(self):
        key = self.key()
        return fields(key=key, range_end=self.end(0.3, key), prev_kv=self.chance(0.5))

    def compare_fields(self):
        rarely = self.chance
        key = self.key() or b"a"
        name = key.decode("latin1") if key.isalnum() else "a"
        target, field, value = self.pick([
            ("VERSION", "version", self.pick([0, 1, 2, 3, f"<version {name}>"])),
            ("CREATE", "create_revision", self.pick([0, self.revision(), f"<create {name}>"])),
            ("MOD", "mod_revision", self.pick([0, self.revision(), f"<mod {name}>"])),
            ("VALUE", "value", quoted(self.pick(VALUES))),
            ("LEASE", "lease", self.pick([0, self.lease(True)]))])
        if rarely(0.05):
            value = quoted(b"1") if field == "value" else self.pick(NUMBERS)
        if rarely(0.03):
            target = self.pick(["VERSION", "VALUE", "MOD", "LEASE", 5, 9, -1])
        result = self.pick(["EQUAL", "GREATER", "LESS", "NOT_EQUAL"])
        if rarely(0.02):
            result = self.pick([4, 9, -1])
        if rarely(0.03):
            field = None
        text = fields(result=result, target=target, key=key, range_end=self.end(0.15, key))
        return text + (f" {field}: {value}" if field else "")

    def op(self, depth):
        kind = self.random.random()
        # 3.5.30 does not count what nested transactions put against a full store.
        if depth < 3 and kind < 0.12 and not self.later and not self.flags:
            return f"request_txn {{ {self.txn_fields(depth + 1)} }}"
        if kind < 0.55:
            return f"request_put {{ {self.put_fields()} }}"
        if kind < 0.83:
            return f"request_range {{ {self.range_fields(wild=False)} }}"
        if kind < 0.995:
            return f"request_delete_range {{ {self.delete_fields()} }}"
        return ""

    def txn_fields(self, depth=0):
        sizes = [0, 1, 1, 1, 2, 3] if depth == 0 else [0, 0, 1, 1, 2]
        parts = [f"compare {{ {self.compare_fields()} }}" for _ in range(self.pick([0, 1, 1, 2]))]
        for branch in ("success", "failure"):
            parts += [f"{branch} {{ {self.op(depth)} }}" for _ in range(self.pick(sizes))]
        text = " ".join(parts)
        if r'range_end: "\000"' in text:
            # The reference does not see that such a delete takes the key of a put: it dies.
            text = re.sub("ignore_(value|lease): true", "", text)
        return text

    def put(self):
        return f"Put {self.put_fields()}"

    def get(self):
        return f"Range {self.range_fields()}"

    def delete(self):
        return f"DeleteRange {self.delete_fields()}"

    def txn(self):
        if self.chance(0.01):
            ops = self.pick([127, 128, 129])
            return "Txn " + " ".join(f'success {{ request_put {{ key: "m/{n}" }} }}'
                                     for n in range(ops))
        if self.chance(0.01):
            inner = " ".join('success { request_range { key: "a" } }'
                             for _ in range(self.pick([126, 127, 128])))
            return f"Txn success {{ request_txn {{ {inner} }} }}"
        return f"Txn {self.txn_fields()}"

    def compact(self):
        revision = self.pick(["<rev-30>", "<rev-100>"]) if self.chance(0.4) else self.revision(0.3)
        # Physical: it has left its hash when it is answered.
        return f"Compact {fields(revision=revision, physical=True)}"

    def grant(self):
        if self.chance(0.1):
            ttl = self.pick([9000000000, 9000000001, 9223372036854775807])
        else:
            ttl = self.pick([3000, 5000, 10000, 36600, 100000, 9000000000])
        number = 0 if self.chance(0.35) else self.lease(wild=True)
        if number != 0:
            return f"LeaseGrant {fields(TTL=ttl, ID=number)}"
        self.labels += 1
        return f"LeaseGrant =L{self.labels} {fields(TTL=ttl)}"

    def short_lease(self):
        """Below the least time to live; gone before it can run out."""
        ttl = self.pick([1, 2, 3, 0, -1, -9223372036854775808])
        return [f"LeaseGrant {fields(TTL=ttl, ID=77)}",
                "LeaseTimeToLive ID: 77", "LeaseRevoke ID: 77"]

    def revoke(self):
        return f"LeaseRevoke {fields(ID=self.lease(wild=True))}"

    def ttl(self):
        return f"LeaseTimeToLive {fields(ID=self.lease(wild=True), keys=self.chance(0.7))}"

    def leases(self):
        return "LeaseLeases"

    def keepalive(self):
        return f"LeaseKeepAlive {fields(ID=self.lease(wild=True))}"

    def watch(self):
        number = None
        if self.chance(0.3):
            number = self.pick([1, 2, 3, 5] + ([0, -1, -5, 9223372036854775807]
                                               if self.chance(0.2) else []))
        filters = self.pick(["filters: NOPUT", "filters: NODELETE",
                             "filters: NOPUT filters: NODELETE", "filters: 9",
                             "filters: NOPUT filters: NOPUT"]) if self.chance(0.15) else ""
        key = self.key()
        end = self.end(0.7, key)
        if self.auth and end == b"\x00":
            end = None  # 3.5.30 lets those watch it who may read its first key
        body = fields(key=key, range_end=end,
                      start_revision=self.revision() if self.chance(0.4) else None,
                      progress_notify=self.chance(0.1), prev_kv=self.chance(0.5),
                      watch_id=number, fragment=self.chance(0.2))
        return f"Watch {self.stream()} create_request {{ {body} {filters} }}"

    def stream(self):
        return self.random.randint(1, 4)

    def cancel(self):
        number = self.pick([0, 0, 1, 1, 2, 3, 4, 5, 6] + ([-1, 99] if self.chance(0.1) else []))
        return f"Watch {self.stream()} cancel_request {{ watch_id: {number} }}"

    def progress(self):
        return f"Watch {self.stream()} progress_request {{ }}"

    def odd_watch(self):
        return f"Watch {self.stream()}"

    def close(self):
        return f"WatchClose {self.stream()}"

    def sync(self):
        return "Sync"

    def hash(self):
        return f"HashKV {fields(revision=self.revision() if self.chance(0.6) else None)}".strip()

    def status(self):
        return "Status"

    def members(self):
        return self.pick(["MemberList", "MemberList linearizable: true"])

    def auth_status(self):
        return "AuthStatus"

    def move(self):
        return f"MoveLeader {fields(targetID=self.pick([0, 1, '<member>']))}"

    def alarm(self):
        return "Alarm " + fields(action=self.pick(["GET", "GET", "DEACTIVATE"]),
                                 memberID=self.pick([None, 1, "<member>"]),
                                 alarm=self.pick(["NONE", "NOSPACE", "CORRUPT", 7]))

    def alarm_pair(self):
        if self.later or self.auth:
            # With one, 3.5.30 asks nobody who they are.
            return self.alarm()  # of two at once 3.5.30 forgets the one that stays
        if self.flags:
            return "Alarm action: DEACTIVATE memberID: <member> alarm: NOSPACE"
        kind = self.pick(["NOSPACE", "NOSPACE", "NOSPACE", "CORRUPT"])
        who = self.pick([None, 1, "<member>", "<member>"])
        self.later.append(f"Alarm {fields(action='DEACTIVATE', memberID=who, alarm=kind)}")
        self.later.append("Alarm")
        return f"Alarm {fields(action='ACTIVATE', memberID=who, alarm=kind)}"

    def about(self):
        return self.service.next()

    def json(self):
        return self.dressed(as_json)

    def raw(self):
        return self.dressed(as_bytes)

    def dressed(self, dress):
        """Some request of the others, in that form."""
        while True:
            source = self.auth.next() if self.auth and self.chance(0.5) else self.pick(
                [self.put, self.get, self.delete, self.txn, self.compact, self.grant, self.revoke,
                 self.ttl, self.leases, self.members, self.auth_status, self.keepalive, self.alarm,
                 self.move, *5 * [self.about]])()
            made = dress(self, source) if isinstance(source, str) else None
            if made:
                return made

    def big(self):
        """Around what a request may have, and what a watch answer may have before it is cut."""
        if self.chance(0.4):
            size = self.pick([1500000, 1572864 - 40, 1572864, 1600000, 2097152 - 100, 2097153,
                              2200000])
            return f'Put key: "big" value: "<x*{size}>"'
        return [f'Put key: "a/{n}" value: "<y*700000>"' for n in range(1, 4)]
