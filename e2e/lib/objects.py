# SPDX-License-Identifier: Apache-2.0
"""Objects as a kube-apiserver stores them: "k8s\\0", then runtime.Unknown around the object."""
import random


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, body):
    if isinstance(body, str):
        body = body.encode()
    return varint(number << 3 | 2) + varint(len(body)) + body


def stored(api_version, kind, name, namespace="", filler=0, seed=0):
    """runtime.Unknown{TypeMeta{apiVersion, kind}, raw: {metadata, spec}}."""
    meta = (field(1, name) + field(3, namespace)
            + field(5, "%032x" % random.Random(name).getrandbits(128)))
    spec = random.Random(seed).randbytes(filler)
    return (b"k8s\0" + field(1, field(1, api_version) + field(2, kind))
            + field(2, field(1, meta) + field(2, spec)))


def namespaces(count):
    for i in range(count):
        name = f"team-{i:04}"
        yield f"/registry/namespaces/{name}".encode(), stored("v1", "Namespace", name, filler=200)


def pods(count, per_namespace=50):
    """2 to 10 KB each."""
    for i in range(count):
        space, name = f"team-{i // per_namespace:04}", f"web-{i:06}"
        yield (f"/registry/pods/{space}/{name}".encode(),
               stored("v1", "Pod", name, space, filler=2000 + i * 37 % 8000, seed=i))


def leases(count):
    for i in range(count):
        name = f"node-{i:04}"
        yield (f"/registry/leases/kube-node-lease/{name}".encode(),
               stored("coordination.k8s.io/v1", "Lease", name, "kube-node-lease", filler=300))


def events(count):
    for i in range(count):
        name = f"web-{i:06}.17a2"
        yield (f"/registry/events/team-0000/{name}".encode(),
               stored("v1", "Event", name, "team-0000", filler=500))
