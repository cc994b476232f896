#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the same command lines with two etcdctl binaries against one server; shows what differs.

usage: compare.py REFERENCE OURS ENDPOINT [WORD]

REFERENCE is an upstream etcdctl (3.5 or 3.6), ENDPOINT a plain-text client URL of a member that may
be scribbled on: ALL ITS KEYS, USERS AND ROLES ARE DELETED. WORD runs only the cases whose command
line contains it. Before every run the keys are set up anew, so revisions are compared relative to
that; leases' ids, times and raft's indexes are masked.
"""
import base64
import itertools
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

REFERENCE, OURS, ENDPOINT = sys.argv[1:4] if len(sys.argv) > 3 else ("", "", "")
# Seconds for what is timed by nothing else: what differs is run again, as a machine may be slow.
PAUSES = (0.4, 3, 15)
DEAD = "127.0.0.1:1"

KEYS = (("a", "1"), ("b", "x y"), ("c/1", "one"), ("c/2", "two"),
        ("bin", b"\x00\xff<&>\xe2\x80\xa8\n"))

TXN = 'ver("a") > "0"\nmod("b") > "1"\n\n' \
      'put a "x y"\nget a\nget c/ --prefix\ndel b --prev-kv\n\nput b c\n\n'
TXN_ELSE = 'val("a") = "no"\n\nput a z\n\nget a --print-value-only\nget zz\n\n'

FORMATS = ["simple", "json", "fields", "protobuf", "table"]

EVERY_FORMAT = r"""
put a 2
put a 2 --prev-kv
put new 1
get a
get c/ --prefix
get a --hex
get none
get bin
get a c
del a
del none
del c/ --prefix --prev-kv
del a --prev-kv --hex
lease list
lease timetolive {lease}
lease timetolive {lease} --keys
lease grant 50
lease timetolive 1234
lease keep-alive --once {lease}
lease revoke {lease}
lease revoke 1234 --command-timeout=2s
put lk v --lease={lease}
get leased
get leased --hex
member list
member list --consistency=s
alarm list
endpoint health
role list
user list
auth status
role get none
get a --keys-only
member remove 1
move-leader 1
compaction 1000000
get a --count-only
get a --print-value-only
"""

PLAIN = r"""
get
get a b c
get a b --prefix
get a --prefix --from-key
get a --keys-only --count-only
get --from-key b
get --prefix c/ --limit 1
get --prefix c/ --order=DESCEND
get --prefix c/ --sort-by=VALUE --order=descend
get a --order=sideways
get a --sort-by=x
get a --consistency=s
get a --consistency=x
get a --rev=1000000
get a --rev 1
get --prefix c/ --keys-only
get a -w bad
get a --print-value-only
get a --hex
put
put a b c
put a b --lease=xyz
put a b --lease=99
put a --ignore-value
put none --ignore-value
put a b --ignore-lease
put none b --ignore-lease
put a b --ignore-value
put -- -k -v
del
del a b c
del a b --prefix
del a c --range
del --prefix --from-key a
del b --from-key
del c/ --prefix
lease
lease grant
lease grant x
lease grant -- -1
lease grant 9999999999
lease revoke
lease revoke zz
lease timetolive
lease timetolive q
lease keep-alive
lease keep-alive zz
lease keep-alive 1234
lease keep-alive --once 1234
compaction
compaction x
compaction 1000000
compaction -- -1
member remove
member remove zz
member remove 1
member update 1
member update 1 --peer-urls=http://127.0.0.1:9
member update
member add
member add x
member add x y
member add x http://a
member add x --peer-urls=foo
member promote
member promote zz
member promote 1
member list --consistency=q
alarm list x
alarm disarm x
alarm disarm
alarm
endpoint
move-leader
move-leader zz
move-leader 1
snapshot save
snapshot save /nonexistent/x
txn x
user add
user delete none
user get none
user list x
user grant-role x
user revoke-role x
role add
role delete none
role get
role list x
role grant-permission x
role grant-permission x y z
role grant-permission none read z
role revoke-permission x
role revoke-permission none z
auth enable
auth disable x
endp hea
lock
lock L echo x
lock L false
make-mirror
make-mirror --dest-prefix a --no-dest-prefix 127.0.0.1:1
lock L no-such-program
elect x
elect x y z
elect -l x y
g a
watch
watch a b --prefix
watch a --
watch a --rev=1 -- false
watch a --rev=1 -- /none/such
watch a --rev=1 -- no-such-program
"""

USAGE = r"""
bogus
put --lease
lease grant -1
gett a
get a --limit x
get -w
get -x a
get a --prefix=maybe
--limit get a
get --dial-timeout=5 a
get --dial-timeout=x a
get --dial-timeout=5x a
get --bogus a
get --rev=99999999999999999999 a
get a --=x
get ---x
-d
put a b --prev-kv=2
"""

COMPARES = r"""
foo
zz("a") > "0"
ver("a") > "x"
ver(a) > "0"
val("a") = "1"
val("a") != "1"
ver("a" > "0"
create("a")>"0"
mod("a") > "0" junk
c("a") < "99999"
m("a") = "-1"
value("b") > "x"
version("none") = "0"
ver("\x61") = "1"
ver("a") > 0
ver(`a`) > "0"
"""

REQUESTS = r"""
foo
put
put a
get a b c
bogus x y
get --prefix ""
put 'k k' "v\x41\n"
put "k
del a --prev-kv
get c/ --prefix --keys-only
put q 'a"b'
get a --rev=1
put x "\q"
put k'1' v"2
get a --order=x
del c/ --prefix
"""

# With users and roles, access control off.
PEOPLE_EVERY_FORMAT = r"""
role list
role get r
role add new
role delete r
role grant-permission r readwrite k
role revoke-permission r a
user list
user get alice
user get alice --detail
user add bob:pw
user delete alice
user grant-role alice other
user revoke-role alice r
auth status
"""

PEOPLE = r"""
role add r
role get root
role grant-permission r read a
role grant-permission r read b a
role grant-permission r --prefix write p/
role grant-permission r --from-key READ z
role grant-permission r --prefix --from-key read z
role grant-permission r --prefix read z zz
role grant-permission r sometimes k
role revoke-permission r none
role revoke-permission r c/ c0
role revoke-permission r --prefix c/
role revoke-permission r --from-key w
user add alice:pw
user add :pw
user add bob --no-password
user add bob --new-user-password=x
user get root
user grant-role alice r
user grant-role alice none
user grant-role none r
user revoke-role alice other
user delete root
auth enable
auth disable
"""

# The same people, access control on.
GUARDED_EVERY_FORMAT = r"""
watch a
watch secret --user alice:pw
get secret --user alice:pw
auth disable --user root:pw
auth status --user root:pw
"""

GUARDED = r"""
get a
get a --user alice:pw
get a --user alice:wrong
get a --user nobody:pw
put a 1 --user alice:pw
get c/ --prefix --user alice:pw
get a secret --user alice:pw
watch c/ --prefix --rev=1 --user bob:pw
watch a --user alice:wrong
user list --user alice:pw
user get alice --user alice:pw
user get root --user alice:pw
role get r --user alice:pw
auth enable --user root:pw
auth disable
auth disable --user alice:pw
lease list
lease grant 50
member list
endpoint health
endpoint status -w json
compaction 1 --user alice:pw
alarm list --user alice:pw
move-leader 1 --user alice:pw
lock L --user alice:pw true
elect E me --user alice:pw
elect -l E --user alice:pw
"""

# With a NOSPACE alarm of a member 1234.
ALARMED_EVERY_FORMAT = r"""
alarm list
alarm disarm
"""

ALARMED = r"""
put a b
put a b -w json
endpoint health
endpoint health -w json
lease grant 50
"""

# With a learner that never comes: {learner} is its id.
LEARNER_EVERY_FORMAT = r"""
member list
member remove {learner}
"""

LEARNER = r"""
member list --hex
member list -w json --hex
member promote {learner}
member add x --learner --peer-urls=http://127.0.0.1:9
member add x --learner --peer-urls=http://127.0.0.1:8
move-leader {learner}
"""

TO_NOBODY = r"""
get a
put a b
del a
endpoint health
endpoint status
member list
alarm list
compaction 1
lease grant 5
defrag
move-leader 1
user list --user=x:y --dial-timeout=1s
"""

# Differ between 3.5 and 3.6, whose ways are followed.
NEWER = ["member list --consistency=s", "member list --consistency=q", "snapshot save", "lease",
         "alarm", "endpoint", "role get root",
         "member list -w json --hex", "endpoint status -w json"]
# Took a time that sets a column's width; fails in upstream ("marshal unsupported", a panic); a
# message behind a line of text.
SKIP = ["endpoint health -w table", "lease revoke {lease} -w protobuf",
        "user get alice --detail -w protobuf", "alarm disarm -w fields"]

# Each case: arguments, and what is special about it.
CASES = []


def lines(text):
    return text.strip("\n").split("\n")


def case(args, **more):
    CASES.append(dict(args=args.split() if isinstance(args, str) else args, **more))


def cases():
    for form in FORMATS:
        for args in lines(EVERY_FORMAT):
            case(args + " -w " + form, newer=args in NEWER or "--hex" in args and form == "fields",
                 skip=(args + " -w " + form) in SKIP)
        case("txn -w " + form, stdin=TXN)
        case("txn -w " + form, stdin=TXN_ELSE)
        if form in ("json", "protobuf"):
            case("endpoint status -w " + form)
    for args in lines(PLAIN):
        case(args, newer=args in NEWER)
    for args in lines(USAGE):
        case(args, usage=True)
    for line in lines(COMPARES):
        case("txn", stdin=line + "\n\n\n\n")
    for line in lines(REQUESTS):
        case("txn", stdin="\n" + line + "\n\n\n")
    case("txn -i", stdin=TXN)
    case("txn", stdin="")
    case("txn", stdin='ver("a") > "0"')
    case("put fromstdin", stdin="a value\nwith lines\n")
    case("put fromstdin", stdin="")
    case("watch -i", stdin="foo\n\nwatch\n")
    case("watch", env={"ETCDCTL_WATCH_RANGE_END": "b"})
    case("watch b", env={"ETCDCTL_WATCH_KEY": "a"})
    case("watch b -- echo x", env={"ETCDCTL_WATCH_KEY": "a"})
    case("get a", env={"ETCDCTL_FOO": "1"})
    case("get a", env={"ETCDCTL_API": "3"}, newer=True)
    case("get a", env={"ETCDCTL_WRITE_OUT": "json"})
    case("get a", env={"ETCDCTL_USER": ""})
    case("get a -w json", env={"ETCDCTL_WRITE_OUT": "json"})
    case("get a", env={"ETCDCTL_DIAL_TIMEOUT": "abc"})
    case("version", env={"ETCDCTL_FOO": "1"}, versions=True)
    for args in lines(TO_NOBODY):
        case(args + " --command-timeout=300ms", endpoint=DEAD)
    case("get a", endpoint=DEAD + "," + ENDPOINT)
    case("get a", endpoint="https://" + ENDPOINT.split("://")[-1] + " --command-timeout=300ms")
    case("get a --cert=/none --key=/none")
    case("get a --cert=/none")
    case("get a --cacert=/none")
    case(["get", "a", "--cert="])
    case("get a --user root:x")
    case(["get", ""])
    case(["get", "", "--prefix"])
    case(["get", "", "--from-key"])
    case(["del", "", "--prefix"])
    case(["get", "a", "--endpoints="], endpoint=None)
    case("snapshot save /tmp/compare-snapshot.db", versions=True)
    for held in (["sh", "-c", "exit 3"], ["sh", "-c", "kill -9 $$"], ["true"], ["no-such"]):
        case(["lock", "L", "--"] + held)
    for ttl in ("0", "-3"):
        case(["lock", "L", "--ttl=" + ttl, "true"])
    furnished()
    watches()
    elections()


def furnished():
    """What needs more than keys to begin with."""
    for special, every, plain in ((people, PEOPLE_EVERY_FORMAT, PEOPLE),
                                  (guarded, GUARDED_EVERY_FORMAT, GUARDED),
                                  (alarmed, ALARMED_EVERY_FORMAT, ALARMED),
                                  (learning, LEARNER_EVERY_FORMAT, LEARNER),
                                  (compacted, "watch a --rev=1", "get a --rev=1")):
        for args in lines(every):
            for form in FORMATS:
                case(args + " -w " + form, special=special,
                     skip=(args + " -w " + form) in SKIP)
        for args in lines(plain):
            case(args, special=special, newer=args in NEWER)
    for more in ("", ",http://localhost:1", " -w table"):
        case("member add x --learner --peer-urls=http://127.0.0.1:8" + more, special=alone,
             newer="table" not in more)
    case("user passwd alice --interactive=false", special=people, stdin="word\n")
    case("user add bob --interactive=false", special=people, stdin="word\n")


def elections():
    for form in ("simple", "json", "fields", "protobuf"):
        case("elect -l E -w " + form, live=elect_some)
    case("lock L", live=time.sleep)


def watches():
    for form in ("simple", "json", "fields", "protobuf"):
        case("watch c/ --prefix --prev-kv -w " + form, live=write_some)
    case("watch a -- env", live=write_some, only="ETCD_WATCH|PUT|DELETE|^[a-z0-9]*$")
    case("watch a c", live=write_some)
    case("watch a --hex", live=write_some)
    case("watch --prefix", live=write_some, env={"ETCDCTL_WATCH_KEY": "c/"})
    case("watch --rev 1 --prefix c/ -w json", live=write_some)


def environment(more=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
    env.update(more or {})
    return env


def text_of(output):
    return output.decode("utf-8", "surrogateescape")


def run(tool, args, stdin="", env=None, limit=20):
    done = subprocess.run([tool] + args, input=stdin.encode(), capture_output=True,
                          env=environment(env), timeout=limit, check=False)
    return text_of(done.stdout), text_of(done.stderr), done.returncode


def reference(*args, stdin=""):
    out, err, code = run(REFERENCE, ["--endpoints=" + ENDPOINT] + list(args), stdin)
    if code:
        sys.exit("reference %s: %s" % (" ".join(args), err))
    return out


def post(path, token="", **body):
    """A call through the member's gateway; None when it is refused. Faster than a process."""
    request = urllib.request.Request(ENDPOINT + "/v3/" + path, json.dumps(body).encode(),
                                     {"Authorization": token} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        return None


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def prepare():
    """The same keys again, and one lease. Gives the revision before and the lease's id."""
    for lease in post("lease/leases").get("leases", []):
        post("lease/revoke", ID=lease["ID"])
    base = post("kv/deleterange", key=b64("\0"), range_end=b64("\0"))["header"]["revision"]
    puts = [{"request_put": {"key": b64(key), "value": b64(value)}} for key, value in KEYS]
    post("kv/txn", success=puts)
    lease = int(post("lease/grant", TTL=600)["ID"])
    post("kv/put", key=b64("leased"), value=b64("v"), lease=lease)
    return int(base), f"{lease:016x}"


def people():
    """root, and alice with a role; gives what leaves nobody behind."""
    forget_people()
    for role in ("root", "r", "other"):
        post("auth/role/add", name=role)
    for kind, key, end in (("READ", "a", ""), ("READWRITE", "c/", "c0"), ("WRITE", "w", "\0")):
        post("auth/role/grant", name="r",
             perm={"permType": kind, "key": b64(key), "range_end": b64(end)})
    for user, role in (("root", "root"), ("alice", "r")):
        post("auth/user/add", name=user, password="pw")
        post("auth/user/grant", user=user, role=role)
    return forget_people


def forget_people():
    answer = post("auth/authenticate", name="root", password="pw")
    post("auth/disable", answer["token"] if answer else "")
    for what, name in (("user", "name"), ("role", "role")):
        for one in post(f"auth/{what}/list").get(what + "s", []):
            post(f"auth/{what}/delete", **{name: one})


def guarded():
    people()
    post("kv/put", key=b64("secret"), value=b64("1"))
    post("auth/enable")
    return forget_people


def alarmed():
    def alarm(action):
        post("maintenance/alarm", action=action, memberID=1234, alarm="NOSPACE")

    alarm("ACTIVATE")
    return lambda: alarm("DEACTIVATE")


def learners():
    return [one["ID"] for one in post("cluster/member/list")["members"] if one.get("isLearner")]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("the member is not as it should be: " + condition.__name__)
        time.sleep(0.05)


def unlearn():
    def is_alone():
        for one in learners():
            post("cluster/member/remove", ID=one)
        return not learners()

    until(is_alone)


def learning():
    ports = itertools.cycle(range(9000, 10000))

    def has_learner():
        """Lists are in the order of the ids, which are chosen by chance: behind the member's. Each
        URL and each second is another chance."""
        url = f"http://127.0.0.1:{next(ports)}"
        added = post("cluster/member/add", peerURLs=[url], isLearner=True)
        if added and int(added["member"]["ID"]) < int(added["header"]["member_id"]):
            unlearn()
            return False
        return added

    unlearn()
    until(has_learner)
    return unlearn


def alone():
    """An id is made of URLs and the second; one that was removed in this second does not come
    again."""
    unlearn()
    time.sleep(1)
    return unlearn


def compacted():
    revision = post("kv/range", key=b64("a"))["header"]["revision"]
    post("kv/compaction", revision=revision, physical=True)
    return lambda: None


# Debian's builds draw tables with other characters.
BOXES = str.maketrans("┌┬┐├┼┤└┴┘─│", "+++++++++-|")


def drop_3_5(text):
    """3.5 prints a zero revision in fields, 3.6 does not; 3.6 warns of sessions of no time."""
    text = re.sub(r'.*"WithTTL\(\).*\n', "", text)
    return text.replace('"Revision" : 0\n', "")


def mask_log(line):
    if not line.startswith('{"level"'):
        return line
    fields = json.loads(line)
    if fields["msg"] == "retrying of unary invoker failed":
        return "RETRY"
    for name in ("ts", "caller", "logger", "stacktrace", "took", "etcd-version"):
        fields.pop(name, None)
    return json.dumps(fields, sort_keys=True)


def in_order(match):
    return ",".join(sorted(match.group().split(",")))


def mask(text, base, lease):
    text = drop_3_5(text).translate(BOXES)
    text = "\n".join(mask_log(line) for line in text.split("\n"))
    text = text.replace(lease, "LEASE").replace(str(int(lease, 16)), "LEASE")
    text = re.sub(r'(took"?(:"| = |" : | )|Took" : )[0-9.]+(µs|[mn]?s)', r"\1TIME", text)
    text = re.sub(r'("raft(Applied)?Index":|"dbSize(InUse)?":)\d+', r"\1N", text)
    text = re.sub(r"lease [0-9a-f]{16} granted with", "lease NEW granted with", text)
    text = re.sub(r'("ID" ?: ?)\d{15,}', r"\1NEW", text)
    text = re.sub(r"remaining\(\d+s\)", "remaining(TTL)", text)
    text = re.sub(r'("ttl":|"TTL" : )[456]\d+', r"\1TTL", text)

    text = re.sub(r'(uthRevision"? ?: ?)\d+', r"\1N", text)
    text = re.sub(r'(?<=INITIAL_CLUSTER=")[^"]*', in_order, text)
    text = re.sub(r"\bL/[0-9a-f]{16}\b", "L/NEW", text)

    def relative(match):
        revision = int(match.group(2))
        return match.group(1) + ("+%d" % (revision - base) if revision >= base else match.group(2))

    text = re.sub(r'(evision" ?: ?|_REVISION=|revision=)(\d+)', relative, text, flags=re.I)
    return re.sub(r"\.? took TIME\.?", "", text)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def shape(data):
    """A message's fields with their bytes; numbers, which differ from run to run, only by place."""
    parts, at = [], 0
    try:
        while at < len(data):
            tag, at = varint(data, at)
            value, at = varint(data, at)
            if tag & 7 == 2:
                if at + value > len(data):
                    raise IndexError
                parts.append("%d:%s" % (tag >> 3, shape(data[at:at + value])))
                at += value
            elif tag & 7 == 0 and tag >> 3:
                parts.append(str(tag >> 3))
            else:
                raise IndexError
    except IndexError:
        return repr(data)
    return "{%s}" % " ".join(parts)


def write_some(_):
    reference("put", "c/1", "uno")
    reference("txn", stdin="\nput c/2 dos\ndel a\nput c/3 tres\n\n\n")
    reference("del", "c/1")


def elect_some(pause):
    """A leader, its second word, another who leads when it is gone."""
    for args in (("put", "E/1", "one"), ("put", "E/1", "uno"), ("put", "E/2", "two"),
                 ("del", "E/1"), ("put", "E/2", "dos")):
        reference(*args)
        time.sleep(pause / 2)


def run_live(tool, args, write, env, pause):
    """A watch, some writes by the reference, then the end of the watch."""
    watch = subprocess.Popen([tool] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment(env))
    time.sleep(pause)
    write(pause)
    time.sleep(pause)
    watch.terminate()
    out, err = watch.communicate(timeout=5)
    return text_of(out), text_of(err), watch.returncode


def run_case(tool, one, pause):
    base, lease = prepare()
    undo = one["special"]() if "special" in one else lambda: None
    try:
        return run_prepared(tool, one, pause, base, lease)
    finally:
        undo()


def run_prepared(tool, one, pause, base, lease):
    ids = learners() if one.get("special") in (learning, alone) else []
    args = [word.replace("{lease}", lease).replace("{learner}", f"{int((ids + [0])[0]):x}")
            for word in one["args"]]
    endpoint = one.get("endpoint", ENDPOINT)
    head = (["--endpoints=" + endpoint.split()[0]] + endpoint.split()[1:]) if endpoint else []
    if one.get("usage"):
        args, head = args + head, []
    if "--" in args:
        head, args = [], args[:args.index("--")] + head + args[args.index("--"):]
    if one.get("live"):
        out, err, code = run_live(tool, head + args, one["live"], one.get("env"), pause)
    else:
        out, err, code = run(tool, head + args, one.get("stdin", ""), one.get("env"))
    if one.get("usage"):
        out, err = "", err.split("\n")[0]
    if one.get("versions"):
        out = re.sub(r"(version:|Server version) .*", r"\1 V", out)
        out = out.replace("Server version V\n", "")
    if one.get("only"):
        out = "\n".join(sorted(line for line in out.split("\n") if re.search(one["only"], line)))
    for learner in ids + (learners() if one.get("special") is alone else []):
        for text in (learner, f"{int(learner):x}"):
            out, err = (said.replace(text, "LEARNER") for said in (out, err))
    out, err = (re.sub(r"(?<=127\.0\.0\.1:9)\d{3}\b", "xxx", said) for said in (out, err))
    if "protobuf" in args:
        return shape(out.encode("utf-8", "surrogateescape")), mask(err, base, lease), code
    return mask(out, base, lease), mask(err, base, lease), code


def main():
    if not ENDPOINT:
        sys.exit(__doc__)
    cases()
    word = sys.argv[4] if len(sys.argv) > 4 else ""
    is_new = re.search(r"version: 3\.([6-9]|\d\d)", run(REFERENCE, ["version"])[0]) is not None
    chosen = [one for one in CASES if word in " ".join(one["args"]) and not one.get("skip")
              and (is_new or not one.get("newer"))]
    failures = 0
    for one in chosen:
        for pause in PAUSES:
            theirs, ours = (run_case(tool, one, pause) for tool in (REFERENCE, OURS))
            if theirs == ours:
                break
        else:
            failures += 1
            print("DIFFERS: %s %s %r" % (" ".join(one["args"]), one.get("env", ""),
                                         one.get("stdin", "")))
            for name, left, right in zip(("stdout", "stderr", "exit code"), theirs, ours):
                if left != right:
                    print("  %s\n    theirs: %r\n    ours:   %r" % (name, left, right))
    print("%d cases, %d differ" % (len(chosen), failures))
    sys.exit(1 if failures else 0)


main()
