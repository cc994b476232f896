# SPDX-License-Identifier: Apache-2.0
"""Random requests about locks, elections, the cluster and the member's upkeep; leases that run
out; and calls of what is not there."""
NAMES = ["l", "e", "", "x/y"]
WEIGHTS = {
    "lock": 14, "campaign": 10, "unlock": 12, "resign": 6, "proclaim": 8, "leader": 6,
    "observe": 3, "abandon": 4, "queue_key": 5, "member_add": 1, "member_remove": 1,
    "member_update": 1, "member_promote": 1, "defragment": 0.5, "hash_all": 1, "downgrade": 1,
    "snapshot": 0.5, "unknown": 2, "huge": 1,
}
# Who waits is looked for in the store, which users may not see.
NOT_WITH_USERS = ("lock", "campaign", "observe", "abandon")
SESSIONS = ("lock", "campaign", "proclaim", "resign")
UNKNOWN = ["KV/Nope", "KV/range", "/etcdserverpb.Nope/Range", "/nope/Range", "/etcdserverpb.KV/",
           "/v3lockpb.Lock/Nope", "/Range", "/a/b/c", "/grpc.health.v1.Health/Nope"]
SMALL = ["--quota-backend-bytes=1"]
MIDDLE = ["--quota-backend-bytes=33554432", "--max-request-bytes=50000000"]


def members_flags(seed):
    """One sequence in sixteen has no room at all, one has not enough for its largest requests."""
    return SMALL if seed % 16 == 3 else MIDDLE if seed % 16 == 11 else []


class Service:
    """The lines; asked through the generator that owns the chances."""

    def __init__(self, generator):
        self.of = generator
        self.members = 0
        self.is_without_sessions = generator.chance(0.2)  # they renew leases when they like

    def next(self):
        name = self.of.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
        if self.of.auth and name in NOT_WITH_USERS or self.is_without_sessions and name in SESSIONS:
            name = "leader"
        return getattr(self, name)()

    def lease(self):
        odd = [-1, 999] if self.of.chance(0.1) else []
        return self.of.pick([1, 2, 3, 7, 1, 2, 3, 1000] + odd)

    def key(self, name=None):
        return f"{self.of.pick(NAMES) if name is None else name}/{self.lease():x}"

    def turn(self):
        return self.of.random.randint(1, 4)

    def granted(self, line):
        """Mostly with the lease that it wants."""
        if not self.of.chance(0.4):
            return line
        return [f"LeaseGrant TTL: 5000 ID: {line.rsplit('lease: ', 1)[1].split(' ')[0]}", line]

    def lock(self):
        return self.granted(f'Lock {self.turn()} name: "{self.of.pick(NAMES)}" '
                            f'lease: {self.lease()}')

    def campaign(self):
        return self.granted(f'Campaign {self.turn()} name: "{self.of.pick(NAMES)}" '
                            f'value: "{self.of.pick(["1", "2", ""])}" lease: {self.lease()}')

    def unlock(self):
        if self.of.chance(0.05):
            return f'Unlock key: "{self.of.pick(["", "a", "none"])}"'
        return f'Unlock key: "{self.key()}"'

    def leader_key(self):
        """As a campaign gave it, or nearly so."""
        if self.of.chance(0.03):
            return ""
        name = self.of.pick(NAMES)
        lease = self.lease()
        key = f"{name}/{lease:x}" if self.of.chance(0.9) else self.key()
        rev = f"<create {key}>" if self.of.chance(0.9) else self.of.revision()
        return f'leader {{ name: "{name}" key: "{key}" rev: {rev} lease: {lease} }}'

    def proclaim(self):
        return f'Proclaim {self.leader_key()} value: "{self.of.pick(["3", "4", ""])}"'

    def resign(self):
        return f"Resign {self.leader_key()}".strip()

    def leader(self):
        return f'Leader name: "{self.of.pick(NAMES)}"'

    def observe(self):
        return f'Observe {self.of.random.randint(5, 6)} name: "{self.of.pick(["l", "e"])}"'

    def abandon(self):
        return f"Abandon {self.of.random.randint(1, 6)}"

    def queue_key(self):
        return self.of.pick([f'DeleteRange key: "{self.key()}"', f'Put key: "{self.key()}"',
                             'Range key: "l/" range_end: "l0"', 'Range key: "e/" range_end: "e0"',
                             f"LeaseRevoke ID: {self.lease()}"])

    def member(self):
        if self.members and self.of.chance(0.6):
            return f"<M{self.of.random.randint(max(1, self.members - 2), self.members)}>"
        return self.of.pick([0, 1, 12345678901234567890])

    def url(self):
        return self.of.pick(["http://127.0.0.1:1", "http://127.0.0.1:2", "https://127.0.0.1:3",
                             "http://localhost:4"])

    def member_add(self):
        """Only as a learner: a voter that never starts would stop the cluster."""
        self.members += 1
        urls = self.of.pick([[self.url()], [self.url()], [self.url(), self.url()], [],
                             ["127.0.0.1:1"], ["http://127.0.0.1"], ["unix:///x"], [""],
                             ["http://127.0.0.1:1/path"], ["ftp://127.0.0.1:1"]])
        urls = " ".join(f'peerURLs: "{url}"' for url in urls)
        return f"MemberAdd =M{self.members} {urls} isLearner: true"

    def member_remove(self):
        return f"MemberRemove ID: {self.member()}"

    def member_update(self):
        """Never of a learner, which 3.5.30 then calls a voter."""
        return f'MemberUpdate ID: {self.of.pick([0, 1, "<member>"])} peerURLs: "{self.url()}"'

    def member_promote(self):
        return f"MemberPromote ID: {self.of.pick([self.member(), '<member>'])}"

    def defragment(self):
        return "Defragment"

    def hash_all(self):
        return "Hash"

    def downgrade(self):
        """What would be allowed differs by version."""
        return self.of.pick(['Downgrade version: "x"', 'Downgrade', 'Downgrade version: "3"',
                             'Downgrade action: CANCEL', 'Downgrade action: 7',
                             'Downgrade action: ENABLE version: "none"',
                             'Downgrade version: "9.9.0"', 'Downgrade version: "3.1.0"'])

    def snapshot(self):
        return "Snapshot"

    def unknown(self):
        return f"Raw {self.of.pick(UNKNOWN)} {self.of.pick(['', '0a0161'])}".rstrip()

    def huge(self):
        """Too much for the middle quota, which raises the alarm; else for a request."""
        if self.of.flags != MIDDLE or self.of.later:
            return "Status"
        self.of.later += ["Alarm action: DEACTIVATE memberID: <member> alarm: NOSPACE", "Alarm"]
        return 'Put key: "a" value: "<x*40000000>"'

    def expiry(self):
        """One lease at a time runs out: of two the order is anybody's."""
        begin = ["LeaseGrant TTL: 1 ID: 88", 'Put key: "q/1" value: "1" lease: 88']
        end = ["Expire ID: 88", 'Range key: "q/" range_end: "q0"', "LeaseTimeToLive ID: 88",
               'Put key: "q/3" lease: 88', "LeaseKeepAlive ID: 88"]
        return begin + self.of.pick([
            ['Put key: "q/2" value: "1" lease: 88', 'Range key: "q/" range_end: "q0"'],
            ["LeaseKeepAlive ID: 88", "LeaseTimeToLive ID: 88 keys: true"],
            ['Put key: "q/1" value: "2"', 'Put key: "q/2" lease: 88', 'Put key: "q/2" lease: 1',
             'Txn success { request_put { key: "q/4" lease: 88 } } '
             'success { request_put { key: "q/5" lease: 88 } }'],
            ['Watch 4 create_request { key: "q/" range_end: "q0" prev_kv: true }',
             "LeaseGrant TTL: 1 ID: 88"],
            ['Lock 1 name: "q" lease: 88', "LeaseGrant TTL: 5000 ID: 3",
             'Lock 2 name: "q" lease: 3', 'Lock 3 name: "q" lease: 1'],
            ['Campaign 1 name: "q" value: "1" lease: 88', 'Observe 6 name: "q"',
             "LeaseGrant TTL: 5000 ID: 3", 'Campaign 2 name: "q" value: "2" lease: 3'],
        ]) + end
