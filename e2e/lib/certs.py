# SPDX-License-Identifier: Apache-2.0
"""A folder of certificates, made by etcd-pki."""
import os
import ssl
import subprocess

from .env import binary


class Certs:
    def __init__(self, folder, name="node1", sans=(), flags=("--key-type", "ecdsa:p256")):
        self.folder = folder
        command = [binary("etcd-pki"), "init", "--dir", folder, "--name", name, *flags]
        for san in sans:
            command += ["--san", san]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"etcd-pki: {done.stderr}")

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def ca(self):
        return self.path("ca.crt")

    def pair(self, name="client"):
        """The certificate's and the key's paths."""
        return self.path(name + ".crt"), self.path(name + ".key")

    def server_flags(self):
        """kubeadm's flags for a member with mutual TLS on both sides."""
        server, server_key = self.pair("server")
        peer, peer_key = self.pair("peer")
        return [f"--cert-file={server}", f"--key-file={server_key}", "--client-cert-auth=true",
                f"--trusted-ca-file={self.ca}", f"--peer-cert-file={peer}",
                f"--peer-key-file={peer_key}", "--peer-client-cert-auth=true",
                f"--peer-trusted-ca-file={self.ca}"]

    def client_flags(self, name="client"):
        """etcdctl's."""
        cert, key = self.pair(name)
        return [f"--cacert={self.ca}", f"--cert={cert}", f"--key={key}"]

    def curl_flags(self, name="client"):
        cert, key = self.pair(name)
        return ["--cacert", self.ca, "--cert", cert, "--key", key]

    def context(self, name="client"):
        """For Python's own clients."""
        context = ssl.create_default_context(cafile=self.ca)
        if name:
            context.load_cert_chain(*self.pair(name))
        return context
