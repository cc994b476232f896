# SPDX-License-Identifier: Apache-2.0
"""npm's etcd3, unmodified, over mutual TLS. Installed once into a folder of its own, and kept."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from lib import Case

FOLDER = os.environ.get("KETCD_NPM", os.path.join(tempfile.gettempdir(), "ketcd-npm-etcd3"))
SCRIPT = """
const { Etcd3 } = require("etcd3");
const fs = require("fs");
const [url, ca, cert, key] = process.argv.slice(2);
const read = path => fs.readFileSync(path);
const assert = require("assert");

async function main() {
    const client = new Etcd3({ hosts: url, credentials: {
        rootCertificate: read(ca), certChain: read(cert), privateKey: read(key) } });
    const watcher = await client.watch().prefix("/registry/").create();
    const seen = [];
    watcher.on("put", kv => seen.push("put " + kv.key + " " + kv.value));
    watcher.on("delete", kv => seen.push("delete " + kv.key));
    await client.put("/registry/a").value("1");
    assert.strictEqual(await client.get("/registry/a").string(), "1");
    await client.put("/registry/b").value(Buffer.from([0, 255]));
    assert.deepStrictEqual(await client.getAll().prefix("/registry/").keys(),
        ["/registry/a", "/registry/b"]);
    const txn = await client.if("/registry/a", "Value", "==", "1")
        .then(client.put("/registry/a").value("2"), client.get("/registry/a"))
        .else(client.get("/registry/b")).commit();
    assert.strictEqual(txn.succeeded, true);
    const lease = client.lease(60);
    await lease.put("leased").value("x");
    assert.ok(Number(await lease.grant()) !== 0);
    await lease.keepaliveOnce();
    await lease.revoke();
    assert.strictEqual(await client.get("leased").string(), null);
    const status = await client.maintenance.status();
    assert.ok(Number(status.dbSize) > 0);
    const members = await client.cluster.memberList({});
    assert.strictEqual(members.members[0].name, "node1");
    assert.strictEqual((await client.delete().prefix("/registry/")).deleted, "2");
    for (let i = 0; i < 100 && seen.length < 5; i++) {
        await new Promise(done => setTimeout(done, 50));
    }
    await watcher.cancel();
    client.close();
    console.log(JSON.stringify(seen));
}
main().then(() => process.exit(0), error => { console.error(error); process.exit(1); });
"""


def install():
    """The folder with node_modules; skips with the reason where it cannot be had."""
    for tool in ("node", "npm"):
        if not shutil.which(tool) and not os.path.isdir(FOLDER):
            raise unittest.SkipTest(f"no {tool}: install nodejs and npm")
    if not os.path.isdir(os.path.join(FOLDER, "node_modules", "etcd3")):
        os.makedirs(FOLDER, exist_ok=True)
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", FOLDER,
                                   "etcd3@1.1.2"], capture_output=True, text=True, timeout=60,
                                  check=False)
        except subprocess.TimeoutExpired:
            raise unittest.SkipTest("npm install etcd3 took too long") from None
        if done.returncode != 0:
            raise unittest.SkipTest("npm install etcd3: " + done.stderr.strip()[-200:])
    return FOLDER


class Node(Case):
    def test_etcd3(self):
        modules = install()
        node = self.member(certs=True)
        script = os.path.join(self.folder, "client.js")
        with open(script, "w", encoding="utf-8") as file:
            file.write(SCRIPT)
        done = subprocess.run(
            ["node", script, f"127.0.0.1:{node.client_port}", node.certs.ca, *node.certs.pair()],
            capture_output=True, text=True, timeout=60, check=False,
            env=dict(os.environ, NODE_PATH=os.path.join(modules, "node_modules")))
        self.assertEqual(0, done.returncode, done.stderr)
        seen = json.loads(done.stdout)
        self.assertEqual(["put /registry/a 1", "put /registry/a 2", "delete /registry/a",
                          "delete /registry/b"], seen[:1] + seen[2:])
