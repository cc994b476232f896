# SPDX-License-Identifier: Apache-2.0
"""Histories made by hand, and what history_check says to them. KETCD_HISTORY_CHECK: the program."""
import json
import os
import re
import subprocess
import tempfile

PROGRAM = os.environ["KETCD_HISTORY_CHECK"]
SECOND = 1_000_000_000


def kv(key, value, mod, create=0, version=1, lease=0):
    return [key, value, create or mod, mod, version, lease]


def gone(key, mod):
    return [key, "", 0, mod, 0, 0]


def put(key, value, **rest):
    return {"do": "put", "key": key, "value": value, **rest}


def get(key, **rest):
    return {"do": "range", "key": key, **rest}


def delete(key, **rest):
    return {"do": "delete", "key": key, **rest}


def mod_is(key, number, relation="="):
    return {"key": key, "target": "mod", "is": relation, "number": number}


def found(*kvs, count=None, **rest):
    return {"kvs": list(kvs), "count": len(kvs) if count is None else count, **rest}


AM = {"role": "r", "key": "a", "end": "m", "permission": "readwrite"}


class History:
    """Each call takes ten of the clock, one after the other."""

    def __init__(self, **run):
        self.lines, self.clock = [{"type": "run", **run}], 0

    def line(self, **fields):
        self.lines.append(fields)
        return fields

    def call(self, op, outcome="ok", revision=0, member=1, at=None, **fields):
        self.clock += 10
        began, ended = at or (self.clock, self.clock + 5)
        line = self.line(type="call", client=1, member=member, invoke=began, outcome=outcome, op=op,
                         **fields)
        if outcome != "unknown":
            line["return"] = ended
        if outcome == "ok":
            line.setdefault("result", {})["revision"] = revision
        return line

    def put(self, key, value, revision, prev=None, **rest):
        result = {"kvs": [prev]} if prev else {}
        return self.call(put(key, value, prev=prev is not None, **rest), revision=revision,
                         result=result)

    def lost(self, op, **rest):
        """No answer came."""
        return self.call(op, outcome="unknown", **rest)

    def refused(self, op, error=""):
        return self.call(op, outcome="failed", error=error)

    def delete(self, key, revision, count=1, kvs=None, **rest):
        return self.call(delete(key, prev=kvs is not None, **rest), revision=revision,
                         result={"count": count, "kvs": kvs or []})

    def get(self, key, header, *kvs, count=None, more=False, at=None, **op):
        return self.call(get(key, **op), revision=header, at=at,
                         result=found(*kvs, count=count, more=more))

    def all(self, header, *kvs, **op):
        return self.get("a", header, *kvs, end="z", **op)

    def txn(self, revision, succeeded, results, **op):
        return self.call({"do": "txn", **op}, revision=revision,
                         result={"succeeded": succeeded, "results": results})

    def compact(self, at, revision):
        return self.call({"do": "compact", "revision": at}, revision=revision)

    def grant(self, lease, revision, ttl=10, **rest):
        return self.call({"do": "grant", "lease": lease, "ttl": ttl}, revision=revision,
                         result={"ttl": ttl}, **rest)

    def revoke(self, lease, revision):
        return self.call({"do": "revoke", "lease": lease}, revision=revision)

    def keepalive(self, lease, revision, ttl=10):
        return self.call({"do": "keepalive", "lease": lease}, revision=revision,
                         result={"ttl": ttl})

    def ttl(self, lease, revision, ttl=5, keys=None, granted=10, stale=False, at=None):
        """A look at a lease, with its keys if some are given."""
        op = {"do": "ttl", "lease": lease, "serializable": stale, "keys": keys is not None}
        return self.call(op, revision=revision, at=at,
                         result={"ttl": ttl, "granted": granted, "names": keys or []})

    def done(self, user, op, revision, at=None, **result):
        return self.call(op, revision=revision, user=user, at=at, result=result)

    def denied(self, user, op, error="denied", at=None):
        return self.call(op, outcome="failed", error=error, user=user, at=at)

    def change(self, do, revision=1, outcome="ok", at=None, **op):
        """Of users and roles, by root."""
        return self.call({"do": do, **op}, outcome=outcome, revision=revision, user="root", at=at)

    def guarded(self, revision=1):
        """Access control is on; user u has role r, which may read and write a to m."""
        for do, op in (("role_add", {"role": "root"}), ("user_add", {"user": "root"}),
                       ("user_grant", {"user": "root", "role": "root"}),
                       ("user_add", {"user": "u"}), ("role_add", {"role": "r"}),
                       ("user_grant", {"user": "u", "role": "r"}), ("role_grant", AM),
                       ("auth_enable", {})):
            self.change(do, revision=revision, **op)

    def dump(self, revision, *kvs, member=1):
        return self.call({"do": "dump"}, revision=revision, member=member,
                         result={"kvs": list(kvs)})

    def watch(self, revision, key="a", end="z", watch=1, **rest):
        self.clock += 1
        return self.line(type="watch", watch=watch, client=1, member=1, time=self.clock,
                         revision=revision, key=key, end=end, **rest)

    def shown(self, revision, *events, watch=1, **rest):
        self.clock += 1
        return self.line(type="response", watch=watch, time=self.clock, revision=revision,
                         events=[list(event) for event in events], **rest)

    def hash(self, member, revision, number, compact=0):
        return self.line(type="hash", member=member, revision=revision, compact=compact,
                         hash=number)


def text_of(lines):
    return "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)


def run(paths):
    return subprocess.run([PROGRAM, *paths], capture_output=True, text=True, timeout=250,
                          check=False)


def judge(histories):
    """Of each: the names of what is wrong, in order, and the report. One process for all."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, str(i)) for i in range(len(histories))]
        for path, lines in zip(paths, histories):
            with open(path, "w", encoding="ascii") as file:
                file.write(text_of(lines))
        done = run(paths)
    reports = re.split(f"^{re.escape(folder)}/", done.stdout, flags=re.M)[1:]
    if len(reports) != len(histories):
        raise AssertionError(done.stdout + done.stderr)
    return [(re.findall(r"^([a-z][a-z-]+): ", report, re.M), report) for report in reports]


def exit_code(lines):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text_of(lines))
        file.flush()
        return run([file.name]).returncode


WRONG, RIGHT = [], []


def wrong(name):
    def keep(make):
        WRONG.append((name, make))
        return make
    return keep


def right(make):
    RIGHT.append(make)
    return make
