# SPDX-License-Identifier: Apache-2.0
"""Users who do what they may and what they may not, while an administrator changes that; all of it
recorded, so that tests/history says whether each was rightly done or denied.

    guarded = Guarded(recorder, members).start()    # access control is on from here
    ... faults ...
    guarded.stop()

The clients' certificate (common name etcd-client) is root's, users come by token.
"""
import random
import threading
import time

import grpc

from .api import Api, pb
from .recorder import QUICK, REFUSED

ROOT = "etcd-client"
USERS = ("u1", "u2", "u3")
SPANS = [(b"/h/g", b"/h/h"), (b"/h/g1", b""), (b"/h/g2", b"/h/g5"), (b"/h/g3", b"\0")]
PAUSE_S = 0.03
SETUP_SECONDS = 120


class Roaming(threading.Thread):
    """Turns on one member, on another one once that gives no answer."""

    def __init__(self, guarded, number):
        super().__init__(daemon=True)
        self.guarded, self.number = guarded, number
        self.random = random.Random(number)
        self.broken, self.count = "", 0

    def run(self):
        while not self.guarded.ending.is_set() and not self.broken:
            member = self.random.choice(self.guarded.members)
            try:
                with self.api(member) as api:
                    while not self.guarded.ending.wait(self.random.uniform(0, 2 * PAUSE_S)):
                        self.turn(api)
            except grpc.RpcError:
                self.guarded.ending.wait(PAUSE_S)
            except Exception as error:  # pylint: disable=broad-except
                self.broken = repr(error)


class Administrator(Roaming):
    """Gives and takes. A role about which something got no answer goes: it may come yet."""

    def __init__(self, guarded, number):
        super().__init__(guarded, number)
        self.role, self.roles, self.spans = "", 0, []

    def api(self, member):
        return self.guarded.recorder.api(member, user=ROOT, timeout=12)

    def turn(self, api):
        what = self.random.choices([self.allow, self.forbid, self.give, self.look, self.replace],
                                   [30, 25, 10, 25, 10])[0]
        if not self.role:
            what = self.replace
        role, self.role = self.role, ""  # unless it is answered
        try:
            self.role = what(api, role)
        except grpc.RpcError as error:
            if error.code() not in REFUSED:
                raise
            self.role = role
        self.count += 1

    def allow(self, api, role):
        span = self.random.choice(SPANS)
        api.RoleGrantPermission(name=role, perm=pb.Permission(
            permType=self.random.randrange(3), key=span[0], range_end=span[1]))
        self.spans = [one for one in self.spans if one != span] + [span]
        return role

    def forbid(self, api, role):
        if self.spans:
            key, end = self.spans.pop()
            api.RoleRevokePermission(role=role, key=key, range_end=end)
        return role

    def give(self, api, role):
        api.UserGrantRole(user=self.random.choice(USERS), role=role)
        return role

    def look(self, api, role):
        self.random.choice([lambda: api.RoleGet(role=role), api.AuthStatus,
                            lambda: api.UserGet(name=self.random.choice(USERS))])()
        return role

    def replace(self, api, role):
        if role:
            api.RoleDelete(role=role)
        self.roles += 1
        role, self.spans = f"r{self.roles}", []
        api.RoleAdd(name=role)
        self.allow(api, role)
        for user in USERS[:2]:
            api.UserGrantRole(user=user, role=role)
        return role


class User(Roaming):
    """By token, which a member that was started anew does not know any more."""

    def __init__(self, guarded, number):
        super().__init__(guarded, number)
        self.user = USERS[number % len(USERS)]

    def api(self, member):
        with Api(member, options=QUICK) as api:
            token = api.Authenticate(name=self.user, password=self.user, timeout=12).token
        return self.guarded.recorder.api(member, user=self.user, token=token, timeout=12)

    def turn(self, api):
        self.count += 1
        key = b"/h/g%d" % self.random.randrange(8)
        what = self.random.randrange(4)
        try:
            if what == 0:
                api.Put(key=key, value=b"g%d.%d" % (self.number, self.count))
            elif what == 1:
                api.Range(key=key, serializable=self.random.random() < 0.3)
            elif what == 2:
                api.Range(key=b"/h/g2", range_end=b"/h/g5")
            else:
                put = pb.RequestOp(request_put=pb.PutRequest(
                    key=key, value=b"g%d.%d" % (self.number, self.count)))
                read = pb.RequestOp(request_range=pb.RangeRequest(key=b"/h/g1"))
                api.Txn(success=[put, read])
        except grpc.RpcError as error:
            if error.code() not in REFUSED or "invalid auth token" in (error.details() or ""):
                raise
            self.guarded.denied += "permission denied" in error.details()


class Guarded:
    def __init__(self, recorder, members, users=4):
        self.recorder, self.members, self.denied = recorder, members, 0
        self.ending = threading.Event()
        self.threads = [Administrator(self, 0), *[User(self, i + 1) for i in range(users)]]

    def start(self):
        options = pb.UserAddOptions(no_password=True)
        self.insist("RoleAdd", name="root")
        for name in ("root", ROOT):
            self.insist("UserAdd", name=name, options=options)
            self.insist("UserGrantRole", user=name, role="root")
        for name in USERS:
            self.insist("UserAdd", name=name, password=name)
        self.insist("AuthEnable")
        for thread in self.threads:
            thread.start()
        return self

    def insist(self, method, **fields):
        """Until somebody answered, be it that it is so already."""
        deadline = time.monotonic() + SETUP_SECONDS
        while True:
            try:
                with self.recorder.api(self.members[0], user=ROOT) as api:
                    return getattr(api, method)(**fields)
            except grpc.RpcError as error:
                if "already exists" in (error.details() or ""):
                    return None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self, seconds=60):
        self.ending.set()
        for thread in self.threads:
            thread.join(seconds)
        broken = [thread.broken for thread in self.threads if thread.broken]
        if broken:
            raise AssertionError("; ".join(broken))

    def words(self):
        users = sum(thread.count for thread in self.threads[1:])
        return f"{self.threads[0].count} changes, {users} calls of users, {self.denied} denied"
