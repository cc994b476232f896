# SPDX-License-Identifier: Apache-2.0
"""What a kube-apiserver sends, field for field, and what kubeadm starts."""
import json
import os
import queue
import threading
import time
import urllib.request

import grpc

from lib import Case, Member, free_port
from lib import objects
from lib.api import Api, compare, op_delete, op_get, op_put, pb, prefix_end

PODS = b"/registry/pods/"
NEVER = b"/registry/none/x"


def create(api, key, value, lease=0):
    """apiserver's OptimisticPut of something new."""
    return api.Txn(compare=[compare(key, "MOD", 0)], success=[op_put(key, value, lease=lease)])


def progress_of(watch, timeout=5):
    """The next answer but for what is told of the stream's first watch now and then; None: soon
    there is none."""
    deadline = time.monotonic() + timeout
    try:
        got = watch.next(timeout)
        while (got.watch_id, len(got.events)) == (0, 0):
            got = watch.next(max(deadline - time.monotonic(), 0.001))
        return got
    except queue.Empty:
        return None


def update(api, key, value, mod_revision):
    return api.Txn(compare=[compare(key, "MOD", mod_revision)], success=[op_put(key, value)],
                   failure=[op_get(key)])


def delete(api, key, mod_revision):
    return api.Txn(compare=[compare(key, "MOD", mod_revision)], success=[op_delete(key)],
                   failure=[op_get(key)])


class KubernetesCase(Case):
    flags = ("--watch-progress-notify-interval=5s",)

    def setUp(self):
        super().setUp()
        self.node = self.member(certs=True, flags=self.flags)
        self.api = self.client()

    def client(self):
        api = Api(self.node, client="apiserver-etcd-client")
        self.addCleanup(api.close)
        return api

    def fill(self, pairs):
        for key, value in pairs:
            self.assertTrue(create(self.api, key, value).succeeded)

    def assertFails(self, code, text, call, *args, **rest):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args, **rest)
        self.assertEqual((code, text), (caught.exception.code(), caught.exception.details()))


class Reads(KubernetesCase):
    def test_get(self):
        made = create(self.api, PODS + b"a/b", b"one").header.revision
        later = update(self.api, PODS + b"a/b", b"two", made).header.revision
        for revision, value, mod, version in ((0, b"two", later, 2), (made, b"one", made, 1)):
            got = self.api.Range(key=PODS + b"a/b", limit=1, revision=revision)
            self.assertEqual(later, got.header.revision)
            self.assertEqual([(value, made, mod, version)],
                             [(kv.value, kv.create_revision, kv.mod_revision, kv.version)
                              for kv in got.kvs])
            self.assertEqual((1, False), (got.count, got.more))

    def test_get_of_nothing(self):
        got = self.api.Range(key=NEVER, limit=1)
        self.assertEqual(([], 0, False), (list(got.kvs), got.count, got.more))
        self.assertGreater(got.header.revision, 0)

    def test_get_current_resource_version(self):
        first = self.api.Range(key=b"/registry/pods", limit=1)
        self.assertEqual((1, 0), (first.header.revision, len(first.kvs)))
        self.fill(objects.pods(3))
        self.assertEqual(4, self.api.Range(key=b"/registry/pods", limit=1).header.revision)

    def test_list_page_counts_what_remains(self):
        self.fill(objects.pods(25))
        pinned, key, end, pages = 0, PODS, prefix_end(PODS), []
        while True:
            got = self.api.Range(key=key, range_end=end, limit=10, revision=pinned)
            pages.append((len(got.kvs), got.count, got.more))
            pinned = pinned or got.header.revision
            if len(got.kvs) >= got.count:
                break
            key = got.kvs[-1].key + b"\0"
            create(self.api, PODS + b"zzz/%d" % len(pages), b"not to be seen")
        self.assertEqual([(10, 25, True), (10, 15, True), (5, 5, False)], pages)

    def test_watch_cache_list(self):
        self.fill(objects.pods(30))
        got = self.api.Range(key=PODS, range_end=prefix_end(PODS), limit=10000)
        self.assertEqual([key for key, _ in objects.pods(30)], [kv.key for kv in got.kvs])
        self.assertEqual([value for _, value in objects.pods(30)], [kv.value for kv in got.kvs])
        self.assertEqual((30, False), (got.count, got.more))

    def test_sync_paginated(self):
        self.fill(objects.pods(5))
        end = prefix_end(PODS)
        first = self.api.Range(key=PODS, range_end=end, limit=3)
        self.assertTrue(first.more)
        delete(self.api, first.kvs[-1].key, first.kvs[-1].mod_revision)
        second = self.api.Range(key=first.kvs[-1].key + b"\0", range_end=end, limit=3,
                                revision=first.header.revision)
        self.assertFalse(second.more)
        self.assertEqual([key for key, _ in objects.pods(5)],
                         [kv.key for kv in list(first.kvs) + list(second.kvs)])

    def test_range_stream_adds_up_to_the_unary_answer(self):
        self.fill(objects.pods(800))
        wanted = self.api.Range(key=PODS, range_end=prefix_end(PODS))
        chunks = [chunk.range_response for chunk in
                  self.api.streaming("RangeStream", key=PODS, range_end=prefix_end(PODS))]
        self.assertGreater(len(chunks), 3)
        self.assertEqual(10, len(chunks[0].kvs))
        for chunk in chunks[:-1]:
            self.assertFalse(chunk.HasField("header"))
            self.assertEqual((0, False), (chunk.count, chunk.more))
            self.assertLess(chunk.ByteSize(), 2 * 1536 * 1024)
        merged = pb.RangeResponse()
        for chunk in chunks:
            merged.MergeFrom(chunk)
        self.assertEqual(wanted, merged)

    def test_range_stream_with_limit_and_revision(self):
        self.fill(objects.pods(40))
        pinned = self.api.Range(key=b"/registry/pods", limit=1).header.revision
        create(self.api, PODS + b"zzz/new", b"later")
        merged = pb.RangeResponse()
        for chunk in self.api.streaming("RangeStream", key=PODS, range_end=prefix_end(PODS),
                                        limit=25, revision=pinned):
            merged.MergeFrom(chunk.range_response)
        self.assertEqual((25, 40, True), (len(merged.kvs), merged.count, merged.more))
        self.assertEqual(pinned + 1, merged.header.revision)

    def test_range_stream_of_a_count_is_one_message(self):
        self.fill(objects.pods(12))
        chunks = list(self.api.streaming("RangeStream", key=PODS, range_end=prefix_end(PODS),
                                         count_only=True))
        self.assertEqual(1, len(chunks))
        self.assertEqual((12, 0, 13), (chunks[0].range_response.count,
                                       len(chunks[0].range_response.kvs),
                                       chunks[0].range_response.header.revision))

    def test_range_stream_that_sorts_is_unimplemented(self):
        with self.assertRaises(grpc.RpcError) as caught:
            next(self.api.streaming("RangeStream", key=PODS, range_end=prefix_end(PODS),
                                    sort_order=2, sort_target=4))
        self.assertEqual(grpc.StatusCode.UNIMPLEMENTED, caught.exception.code())

    def test_count(self):
        self.fill(objects.pods(7))
        got = self.api.Range(key=PODS, range_end=prefix_end(PODS), count_only=True)
        self.assertEqual((7, 0, 8), (got.count, len(got.kvs), got.header.revision))

    def test_keys(self):
        self.fill(objects.pods(7))
        got = self.api.Range(key=PODS, range_end=prefix_end(PODS), keys_only=True)
        self.assertEqual([(key, b"") for key, _ in objects.pods(7)],
                         [(kv.key, kv.value) for kv in got.kvs])
        self.assertEqual(2, got.kvs[0].mod_revision)

    def test_healthcheck(self):
        got = self.api.Range(key=b"/registry/health", timeout=60)
        self.assertEqual(([], 0), (list(got.kvs), got.count))

    def test_list_at_a_compacted_and_a_future_revision(self):
        self.fill(objects.pods(5))
        self.api.Compact(revision=4, physical=False)
        end = prefix_end(PODS)
        self.assertFails(grpc.StatusCode.OUT_OF_RANGE,
                         "etcdserver: mvcc: required revision has been compacted",
                         self.api.Range, key=PODS, range_end=end, limit=500, revision=3)
        self.assertFails(grpc.StatusCode.OUT_OF_RANGE,
                         "etcdserver: mvcc: required revision is a future revision",
                         self.api.Range, key=PODS, range_end=end, limit=500, revision=99)
        self.assertEqual(3, self.api.Range(key=PODS, range_end=end, revision=4).count)

    def test_status(self):
        before = self.api.Status().dbSize
        self.fill(objects.pods(20))
        got = self.api.Status()
        major, minor, patch = (int(part) for part in got.version.split("."))
        self.assertGreaterEqual((major, minor, patch), (3, 6, 0))
        self.assertGreaterEqual(got.dbSize, before)
        self.assertGreater(got.dbSize, 0)
        self.assertEqual(got.leader, got.header.member_id)


class Writes(KubernetesCase):
    def test_optimistic_put_creates_once(self):
        key = PODS + b"a/b"
        first = create(self.api, key, b"one")
        self.assertTrue(first.succeeded)
        self.assertEqual(2, first.header.revision)
        self.assertEqual(2, first.responses[0].response_put.header.revision)
        second = create(self.api, key, b"two")
        self.assertFalse(second.succeeded)
        self.assertEqual((2, 0), (second.header.revision, len(second.responses)))

    def test_optimistic_put_updates_what_was_read(self):
        key = PODS + b"a/b"
        made = create(self.api, key, b"one").header.revision
        done = update(self.api, key, b"two", made)
        self.assertTrue(done.succeeded)
        late = update(self.api, key, b"three", made)
        self.assertFalse(late.succeeded)
        answer = late.responses[0].response_range
        self.assertEqual((b"two", made + 1, made, 2),
                         (answer.kvs[0].value, answer.kvs[0].mod_revision,
                          answer.kvs[0].create_revision, answer.kvs[0].version))
        self.assertEqual(made + 1, late.header.revision)

    def test_optimistic_delete(self):
        key = PODS + b"a/b"
        made = create(self.api, key, b"one").header.revision
        late = delete(self.api, key, made + 5)
        self.assertFalse(late.succeeded)
        self.assertEqual(b"one", late.responses[0].response_range.kvs[0].value)
        done = delete(self.api, key, made)
        self.assertTrue(done.succeeded)
        self.assertEqual((made + 1, 1), (done.header.revision,
                                         done.responses[0].response_delete_range.deleted))
        gone = delete(self.api, key, made)
        self.assertFalse(gone.succeeded)
        self.assertEqual(0, len(gone.responses[0].response_range.kvs))

    def test_compaction_leader_txn(self):
        key = b"compact_rev_key"

        def lead(version, revision):
            return self.api.Txn(compare=[compare(key, "VERSION", version)],
                                success=[op_put(key, str(revision).encode())],
                                failure=[op_get(key)])
        self.fill(objects.pods(10))
        first = lead(0, 0)
        self.assertTrue(first.succeeded)
        other = lead(0, 0)
        self.assertFalse(other.succeeded)
        kept = other.responses[0].response_range.kvs[0]
        self.assertEqual((1, b"0"), (kept.version, kept.value))
        revision = other.header.revision
        self.assertTrue(lead(1, revision).succeeded)
        self.api.Compact(revision=revision, physical=False)
        kept = lead(1, 99).responses[0].response_range.kvs[0]
        self.assertEqual((2, str(revision).encode()), (kept.version, kept.value))
        self.assertFails(grpc.StatusCode.OUT_OF_RANGE,
                         "etcdserver: mvcc: required revision has been compacted",
                         self.api.Compact, revision=revision, physical=False)
        self.assertFails(grpc.StatusCode.OUT_OF_RANGE,
                         "etcdserver: mvcc: required revision is a future revision",
                         self.api.Compact, revision=revision + 100, physical=False)

    def test_lease_that_many_events_share(self):
        lease = self.api.LeaseGrant(TTL=3660, ID=0)
        self.assertEqual(3660, lease.TTL)
        self.assertGreater(lease.ID, 0)
        for key, value in objects.events(20):
            self.assertTrue(create(self.api, key, value, lease.ID).succeeded)
        got = self.api.Range(key=b"/registry/events/", range_end=b"/registry/events0")
        self.assertEqual({lease.ID}, {kv.lease for kv in got.kvs})

    def test_masterlease_expires_unless_it_is_written_anew(self):
        key = b"/registry/masterleases/10.0.0.1"
        made = None
        while not made:  # where seconds are nothing, the lease is gone before it is used
            try:
                made = create(self.api, key, b"endpoint",
                              self.api.LeaseGrant(TTL=1).ID).header.revision
            except grpc.RpcError as error:
                self.assertEqual("etcdserver: requested lease not found", error.details())
        watch = self.api.watch(key, start_revision=made + 1, prev_kv=True)
        event = watch.events(1, timeout=60)[0]
        self.assertEqual((pb.Event.DELETE, b"endpoint"), (event.type, event.prev_kv.value))
        self.assertEqual(0, self.api.Range(key=key, limit=1).count)

    def test_several_writers_in_conflict_lose_no_update(self):
        key, each, writers = PODS + b"a/counter", 40, 4
        create(self.api, key, b"0")
        lost, have_read = [], threading.Barrier(writers)

        def write():
            with Api(self.node) as api:
                for i in range(each):
                    kept = api.Range(key=key, limit=1).kvs[0]
                    if i == 0:
                        have_read.wait()  # so that all but one are late
                    while True:
                        done = update(api, key, b"%d" % (int(kept.value) + 1), kept.mod_revision)
                        if done.succeeded:
                            break
                        lost.append(1)
                        kept = done.responses[0].response_range.kvs[0]
        threads = [threading.Thread(target=write) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        kept = self.api.Range(key=key, limit=1).kvs[0]
        self.assertEqual((each * writers, each * writers + 1), (int(kept.value), kept.version))
        self.assertGreater(len(lost), 0, "the writers never met")


class Watches(KubernetesCase):
    def test_watch_from_a_list(self):
        self.fill(objects.pods(3))
        listed = self.api.Range(key=PODS, range_end=prefix_end(PODS), limit=10000)
        watch = self.api.watch(PODS, range_end=prefix_end(PODS), prev_kv=True,
                               progress_notify=True, watch_id=0,
                               start_revision=listed.header.revision + 1,
                               metadata=(("hasleader", "true"), ("client-api-version", "3.6.0")))
        self.assertEqual(0, watch.created.watch_id)
        first = listed.kvs[0]
        update(self.api, first.key, b"new", first.mod_revision)
        create(self.api, b"/registry/secrets/a/b", b"not watched")
        create(self.api, PODS + b"x/y", b"made")
        delete(self.api, first.key, listed.header.revision + 1)
        got = watch.events(3)
        base = listed.header.revision
        self.assertEqual(
            [(pb.Event.PUT, first.key, b"new", base + 1, first.value),
             (pb.Event.PUT, PODS + b"x/y", b"made", base + 3, b""),
             (pb.Event.DELETE, first.key, b"", base + 4, b"new")],
            [(event.type, event.kv.key, event.kv.value, event.kv.mod_revision,
              event.prev_kv.value) for event in got])
        self.assertFalse(got[1].HasField("prev_kv"))
        self.assertTrue(got[2].HasField("prev_kv"))

    def test_watch_from_the_past_has_every_previous_value(self):
        key, count = PODS + b"a/b", 50
        revision = create(self.api, key, b"0").header.revision
        for i in range(1, count):
            update(self.api, key, b"%d" % i, revision + i - 1)
        delete(self.api, key, revision + count - 1)
        watch = self.api.watch(PODS, range_end=prefix_end(PODS), prev_kv=True,
                               start_revision=revision + 1)
        got = watch.events(count)
        self.assertEqual([b"%d" % i for i in range(count)], [e.prev_kv.value for e in got])
        self.assertEqual(list(range(revision + 1, revision + count + 1)),
                         [e.kv.mod_revision for e in got])

    def test_progress_request_is_answered_once_all_is_sent(self):
        watch = self.api.watch(PODS, range_end=prefix_end(PODS), prev_kv=True, start_revision=1,
                               progress_notify=True, metadata=(("source", "cache"),))
        open_requests = 0
        deadline = time.monotonic() + 120
        for turn in range(5):
            revision = create(self.api, b"/registry/nodes/%d" % turn, b"n").header.revision
            got = None
            while got is None and time.monotonic() < deadline:  # one that is behind answers nothing
                watch.send(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
                open_requests += 1
                got = progress_of(watch)
                while got and got.header.revision < revision and open_requests > 1:
                    open_requests -= 1  # a late answer to one before
                    got = progress_of(watch)
            self.assertEqual((-1, revision, 0),
                             got and (got.watch_id, got.header.revision, len(got.events)))
            open_requests -= 1

    def test_progress_comes_by_itself(self):
        node = self.member(certs=self.node.certs, name="node1", flags=[
            "--watch-progress-notify-interval=1s", f"--data-dir={self.folder}/other"])
        with Api(node) as api:
            watch = api.watch(PODS, range_end=prefix_end(PODS), progress_notify=True)
            revision = create(api, NEVER, b"x").header.revision
            deadline = time.monotonic() + 60
            got = watch.next()
            while got.header.revision < revision and time.monotonic() < deadline:
                got = watch.next()
            self.assertEqual((0, revision, 0),
                             (got.watch_id, got.header.revision, len(got.events)))

    def test_compact_rev_key_watch(self):
        key = b"compact_rev_key"
        revision = self.api.Range(key=key).header.revision
        watch = self.api.watch(key, start_revision=revision)
        self.api.Txn(compare=[compare(key, "VERSION", 0)], success=[op_put(key, b"1")])
        self.assertEqual(b"1", watch.events(1)[0].kv.value)

    def test_watch_of_what_is_compacted_is_cancelled(self):
        self.fill(objects.pods(5))
        self.api.Compact(revision=5)
        stream = self.api.stream("Watch")
        stream.send(pb.WatchRequest(create_request=pb.WatchCreateRequest(
            key=PODS, range_end=prefix_end(PODS), start_revision=2, prev_kv=True)))
        got = stream.next()
        self.assertTrue(got.created)
        if not got.canceled:
            got = stream.next()
        self.assertEqual((True, 5), (got.canceled, got.compact_revision))

    def test_hundreds_of_connections_with_a_watch_each(self):
        apis = [Api(self.node) for _ in range(150)]
        watches = [api.watch(b"/registry/kind%03d/" % i, range_end=b"/registry/kind%03d0" % i,
                             prev_kv=True, progress_notify=True)
                   for i, api in enumerate(apis)]
        for i in range(len(apis)):
            create(self.api, b"/registry/kind%03d/x" % i, b"v")
        for i, watch in enumerate(watches):
            self.assertEqual(b"/registry/kind%03d/x" % i, watch.events(1)[0].kv.key)
        for watch, api in zip(watches, apis):
            watch.call.cancel()
            api.close()


class Load(KubernetesCase):
    """Thousands of objects, lived with as an apiserver does."""

    def test_a_cluster_of_objects(self):
        lease = self.api.LeaseGrant(TTL=3660).ID
        self.fill(objects.namespaces(300))
        self.fill(objects.pods(2000))
        self.fill(objects.leases(300))
        for key, value in objects.events(500):
            create(self.api, key, value, lease)
        base = self.api.Range(key=b"/registry/pods", limit=1).header.revision
        self.assertEqual(1 + 300 + 2000 + 300 + 500, base)
        watch = self.client().watch(PODS, range_end=prefix_end(PODS), prev_kv=True,
                                    progress_notify=True, start_revision=base + 1)
        done, stop = [], threading.Event()
        writer = threading.Thread(target=self.write_on, args=(base, done, stop))
        writer.start()
        try:
            self.list_in_pages(base)
        finally:
            stop.set()
            writer.join(60)
        self.assertGreater(len(done), 20)
        got = watch.events(len(done), timeout=60)
        self.assertEqual(done, [(e.kv.key, e.kv.mod_revision, e.prev_kv.mod_revision)
                                for e in got])
        self.compact_and_look(base, len(done))

    def write_on(self, base, done, stop):
        """Updates and deletions by optimistic transactions until stopped."""
        with Api(self.node) as api:
            for i, (key, _) in enumerate(objects.pods(1500)):
                if stop.is_set() and len(done) > 50:
                    return
                kept = api.Range(key=key, limit=1).kvs[0]
                call = delete if i % 5 == 4 else None
                answer = (delete(api, key, kept.mod_revision) if call
                          else update(api, key, kept.value + b"!", kept.mod_revision))
                done.append((key, answer.header.revision, kept.mod_revision))
                if answer.header.revision != base + len(done):
                    raise AssertionError("somebody else wrote")

    def list_in_pages(self, base):
        wanted, key, got = dict(objects.pods(2000)), PODS, {}
        while True:
            page = self.api.Range(key=key, range_end=prefix_end(PODS), limit=100, revision=base)
            got.update((kv.key, kv.value) for kv in page.kvs)
            self.assertEqual(2000 - len(got) + len(page.kvs), page.count)
            if len(page.kvs) >= page.count:
                break
            key = page.kvs[-1].key + b"\0"
        self.assertEqual(wanted, got)

    def compact_and_look(self, base, written):
        revision = base + written // 2
        at = self.api.Range(key=PODS, range_end=prefix_end(PODS), revision=revision)
        self.api.Compact(revision=revision, physical=False)
        again = self.api.Range(key=PODS, range_end=prefix_end(PODS), revision=revision)
        self.assertEqual(list(at.kvs), list(again.kvs))
        now = self.api.Range(key=PODS, range_end=prefix_end(PODS))
        merged = pb.RangeResponse()
        for chunk in self.api.streaming("RangeStream", key=PODS, range_end=prefix_end(PODS)):
            merged.MergeFrom(chunk.range_response)
        self.assertEqual(now, merged)
        before = self.api.HashKV(revision=0)
        self.node.kill()
        self.node.start()
        api = self.client()
        self.assertEqual(list(now.kvs),
                         list(api.Range(key=PODS, range_end=prefix_end(PODS)).kvs))
        after = api.HashKV(revision=0)
        self.assertEqual((before.hash, before.compact_revision, before.hash_revision),
                         (after.hash, after.compact_revision, after.hash_revision))


class Ready(Case):
    def test_who_is_served_first_sees_the_members_urls(self):
        node = self.member(certs=True)
        with Api(node) as api:
            members = api.MemberList(linearizable=True).members
            self.assertEqual([[node.client_url]], [list(one.clientURLs) for one in members])


class Kubeadm(Case):
    """The manifests' command lines, word for word but for address, ports and folders."""
    new = ("--feature-gates=InitialCorruptCheck=true", "--watch-progress-notify-interval=5s")
    old = ("--experimental-initial-corrupt-check=true",
           "--experimental-watch-progress-notify-interval=5s")

    def command_of(self, certs, node, newer):
        pki, name, metrics = certs.folder, "control-plane", free_port()
        node.name = name
        ip = "127.0.0.2"
        self.metrics = f"http://127.0.0.1:{metrics}"
        client, peer = node.client_port, node.peer_port
        return [node.program,
                f"--advertise-client-urls=https://{ip}:{client}",
                f"--cert-file={pki}/server.crt", "--client-cert-auth=true",
                f"--data-dir={node.data_dir}", newer[0],
                f"--initial-advertise-peer-urls=https://{ip}:{peer}",
                f"--initial-cluster={name}=https://{ip}:{peer}",
                f"--key-file={pki}/server.key",
                f"--listen-client-urls=https://127.0.0.1:{client},https://{ip}:{client}",
                f"--listen-metrics-urls={self.metrics}",
                f"--listen-peer-urls=https://{ip}:{peer}", f"--name={name}",
                f"--peer-cert-file={pki}/peer.crt", "--peer-client-cert-auth=true",
                f"--peer-key-file={pki}/peer.key",
                f"--peer-trusted-ca-file={pki}/ca.crt", "--snapshot-count=10000",
                f"--trusted-ca-file={pki}/ca.crt", newer[1]]

    def start_as(self, newer):
        certs = self.certs(name="control-plane", sans=("127.0.0.2",))
        node = Member(os.path.join(self.folder, "control-plane"), certs)
        command = self.command_of(certs, node, newer)
        node.command = lambda: command
        self.addCleanup(node.stop)
        node.start()
        return node

    def probe(self, path):
        with urllib.request.urlopen(self.metrics + path, timeout=60) as answer:
            return answer.status, answer.read()

    def check(self, newer):
        node = self.start_as(newer)
        for probe in ("/livez", "/readyz", "/readyz"):
            self.assertEqual((200, b"ok\n"), self.probe(probe))
        self.assertEqual((200, {"health": "true", "reason": ""}),
                         (lambda got: (got[0], json.loads(got[1])))(self.probe("/health")))
        self.assertIn(b"etcd_server_has_leader 1", self.probe("/metrics")[1])
        version = json.loads(node.get("/version")[1])
        self.assertGreaterEqual([int(part) for part in version["etcdserver"].split(".")],
                                [3, 5, 24])
        with Api(node, client="healthcheck-client") as api:
            members = api.MemberList(linearizable=True).members
            self.assertEqual([(node.name, [f"https://127.0.0.2:{node.peer_port}"],
                               [f"https://127.0.0.2:{node.client_port}"])],
                             [(one.name, list(one.peerURLs), list(one.clientURLs))
                              for one in members])
            self.assertTrue(create(api, PODS + b"a/b", b"x").succeeded)
        self.assertEqual(0, node.terminate())

    def test_new_manifest(self):
        self.check(self.new)

    def test_old_manifest(self):
        self.check(self.old)
