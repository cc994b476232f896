#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the same command lines with two etcdctl binaries against one server; shows what differs.

usage: compare.py REFERENCE OURS ENDPOINT [WORD]

REFERENCE is an upstream etcdctl (3.5 or 3.6), ENDPOINT a plain-text client URL of a member that may
be scribbled on: ALL ITS KEYS ARE DELETED. WORD runs only the cases whose command line contains it.
Before every run the keys are set up anew, so revisions are compared relative to that; leases' ids,
times and raft's indexes are masked.
"""
import json
import os
import re
import subprocess
import sys
import time

REFERENCE, OURS, ENDPOINT = sys.argv[1:4] if len(sys.argv) > 3 else ("", "", "")
# Seconds for what is timed by nothing else: what differs is run again, as a machine may be slow.
PAUSES = (0.4, 3, 15)
DEAD = "127.0.0.1:1"

SETUP = '\nput a 1\nput b "x y"\nput c/1 one\nput c/2 two\nput bin "\\x00\\xff<&>\\u2028\\n"\n\n\n'

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
         "alarm", "endpoint"]
# Took a time that sets a column's width; fails in upstream ("marshal unsupported").
SKIP = ["endpoint health -w table", "lease revoke {lease} -w protobuf"]

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
    watches()


def watches():
    for form in ("simple", "json", "fields", "protobuf"):
        case("watch c/ --prefix --prev-kv -w " + form, live=True)
    case("watch a -- env", live=True, only="ETCD_WATCH|PUT|DELETE|^[a-z0-9]*$")
    case("watch a c", live=True)
    case("watch a --hex", live=True)
    case("watch --prefix", live=True, env={"ETCDCTL_WATCH_KEY": "c/"})
    case("watch --rev 1 --prefix c/ -w json", live=True)


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


def prepare():
    """The same keys again, and one lease. Gives the revision before and the lease's id."""
    for lease in reference("lease", "list").split("\n")[1:-1]:
        reference("lease", "revoke", lease)
    reference("del", "", "--prefix")
    base = json.loads(reference("get", "x", "-w", "json"))["header"]["revision"]
    reference("txn", stdin=SETUP)
    lease = reference("lease", "grant", "600").split()[1]
    reference("put", "leased", "v", "--lease=" + lease)
    return base, lease


# Debian's builds draw tables with other characters.
BOXES = str.maketrans("┌┬┐├┼┤└┴┘─│", "+++++++++-|")


def drop_3_5(text):
    """3.5 prints a zero revision in fields, 3.6 does not; 3.5 says no times in defrag."""
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


def run_live(tool, args, env, pause):
    """A watch, some writes by the reference, then the end of the watch."""
    watch = subprocess.Popen([tool] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment(env))
    time.sleep(pause)
    reference("put", "c/1", "uno")
    reference("txn", stdin="\nput c/2 dos\ndel a\nput c/3 tres\n\n\n")
    reference("del", "c/1")
    time.sleep(pause)
    watch.terminate()
    out, err = watch.communicate(timeout=5)
    return text_of(out), text_of(err), watch.returncode


def run_case(tool, one, pause):
    base, lease = prepare()
    args = [word.replace("{lease}", lease) for word in one["args"]]
    endpoint = one.get("endpoint", ENDPOINT)
    head = (["--endpoints=" + endpoint.split()[0]] + endpoint.split()[1:]) if endpoint else []
    if one.get("usage"):
        args, head = args + head, []
    if "--" in args:
        head, args = [], args[:args.index("--")] + head + args[args.index("--"):]
    if one.get("live"):
        out, err, code = run_live(tool, head + args, one.get("env"), pause)
    else:
        out, err, code = run(tool, head + args, one.get("stdin", ""), one.get("env"))
    if one.get("usage"):
        out, err = "", err.split("\n")[0]
    if one.get("versions"):
        out = re.sub(r"(version:|Server version) .*", r"\1 V", out)
        out = out.replace("Server version V\n", "")
    if one.get("only"):
        out = "\n".join(sorted(line for line in out.split("\n") if re.search(one["only"], line)))
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
