# SPDX-License-Identifier: Apache-2.0
"""The gateway over a WebSocket, as browsers use it: the same sent to the reference, and what comes
back compared."""
import base64
import json
import os
import re
import urllib.request

from lib import Case, Member, reference
from lib.websocket import CLOSE, PING, PONG, WebSocket


def b64(text):
    return base64.b64encode(text.encode()).decode()


def post(node, path, body=None, token=None):
    request = urllib.request.Request(f"{node.client_url}/v3/{path}",
                                     headers={"Authorization": token} if token else {},
                                     data=json.dumps(body or {}).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def talk(node, path, *messages, headers=(), answers=1):
    """What comes back to these messages, the handshake first, and whether that is the end."""
    ws = WebSocket(node.client_port, path, headers)
    try:
        for message in messages:
            ws.send(message)
        got = [ws.handshake.decode()] + [ws.text() for _ in range(answers)]
        return [re.sub(r'"(cluster_id|member_id|raft_term)":"\d+"', r'"\1":"N"', text)
                for text in got]
    finally:
        ws.close()


def watch(key):
    return json.dumps({"create_request": {"key": b64(key)}})


TALKS = [
    ("/v3/watch", [watch("a")], (), 1),
    ("/v3/watch", [watch("a"), watch("b")], (), 2),
    ("/v3beta/watch", [watch("a")], ["Sec-WebSocket-Protocol: Bearer, token"], 1),
    ("/v3/kv/range", [json.dumps({"key": b64("a")})], (), 1),
    ("/v3beta/kv/range", ["{}"], (), 1),
    ("/v3/kv/range", ['{"key":"', '"}'], (), 1),
    ("/v3/kv/range?method=GET", [json.dumps({"key": b64("a")})], (), 1),
    ("/v3/kv/nothing", [], (), 1),
    ("/v3/lease/keepalive", ['{"ID":"5"}', '{"ID":"6"}'], (), 2),
    ("/v3/maintenance/status", ["x"], (), 1),
]


class Sockets(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member()

    def test_watch(self):
        ws = WebSocket(self.node.client_port, "/v3/watch")
        ws.send(watch("a"))
        self.assertTrue(json.loads(ws.text())["result"]["created"])
        for value in ("1", "2", "x" * 100000):
            post(self.node, "kv/put", {"key": b64("a"), "value": b64(value)})
            event = json.loads(ws.text())["result"]["events"][0]
            self.assertEqual(b64(value), event["kv"]["value"])
        ws.send("hello", PING)
        self.assertEqual((PONG, b"hello"), ws.next())
        ws.send("", CLOSE)
        self.assertEqual((CLOSE, b""), ws.next())
        self.assertTrue(ws.is_over())

    def test_locks_are_let_go_with_the_socket(self):
        post(self.node, "lease/grant", {"ID": "1", "TTL": "600"})
        post(self.node, "lease/grant", {"ID": "2", "TTL": "600"})
        key = post(self.node, "lock/lock", {"name": b64("l"), "lease": "1"})["key"]
        ws = WebSocket(self.node.client_port, "/v3/lock/lock")
        ws.send(json.dumps({"name": b64("l"), "lease": "2"}))
        count = {"key": b64("l/"), "range_end": b64("l0"), "count_only": True}
        while post(self.node, "kv/range", count).get("count") != "2":
            pass
        ws.close()
        while post(self.node, "kv/range", count).get("count") != "1":
            pass
        post(self.node, "lock/unlock", {"key": key})

    def test_tokens(self):
        post(self.node, "auth/user/add", {"name": "root", "password": "p"})
        post(self.node, "auth/role/add", {"name": "root"})
        post(self.node, "auth/user/grant", {"user": "root", "role": "root"})
        post(self.node, "auth/enable")
        token = post(self.node, "auth/authenticate", {"name": "root", "password": "p"})["token"]
        body = json.dumps({"key": b64("a")})
        for headers, is_good in (((), False),
                                 ([f"Sec-WebSocket-Protocol: Bearer, {token}"], True),
                                 ([f"Cookie: token={token}"], True),
                                 (["Sec-WebSocket-Protocol: Bearer, nobody.1"], False),
                                 ([f"Authorization: {token}"], False)):
            text = talk(self.node, "/v3/kv/range", body, headers=headers)[1]
            self.assertEqual(is_good, "header" in json.loads(text), (headers, text))

    def test_what_comes_back_is_the_references(self):
        other = Member(os.path.join(self.folder, "reference"), program=reference("etcd"))
        other.is_ready = lambda: self.answers(other)
        self.addCleanup(other.stop)
        other.start()
        wrong = []
        for path, messages, headers, answers in TALKS:
            ours, theirs = (talk(node, path, *messages, headers=headers, answers=answers)
                            for node in (self.node, other))
            if ours != theirs:
                wrong.append(f"{path} {messages}\n  ours:   {ours}\n  theirs: {theirs}")
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))

    @staticmethod
    def answers(node):
        try:
            return node.get("/health")[0] == 200
        except OSError:
            return False
