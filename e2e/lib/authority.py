# SPDX-License-Identifier: Apache-2.0
"""A certificate authority by openssl, for what etcd-pki does not issue: other common names, dates
that are over, and lists of what was revoked."""
import os
import shutil
import subprocess
import unittest

CONFIG = """[ca]
default_ca = one
[one]
database = {folder}/index.txt
new_certs_dir = {folder}/issued
serial = {folder}/serial
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
default_md = sha256
default_crl_days = 30
unique_subject = no
policy = any
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = none
[none]
"""


def openssl(*args):
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=60,
                          check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(args)}: {done.stderr}")
    return done.stdout


class Authority:
    def __init__(self, folder, name="authority"):
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no openssl")
        self.folder = folder
        os.makedirs(os.path.join(folder, "issued"))
        with open(self.path("index.txt"), "w", encoding="utf-8"):
            pass
        with open(self.path("serial"), "w", encoding="utf-8") as file:
            file.write("1000\n")
        with open(self.path("config"), "w", encoding="utf-8") as file:
            file.write(CONFIG.format(folder=folder))
        self.key("ca")
        openssl("req", "-x509", "-new", "-key", self.path("ca.key"), "-subj", f"/CN={name}",
                "-days", "30", "-config", self.path("config"), "-out", self.ca, "-addext",
                "basicConstraints=critical,CA:true", "-addext", "keyUsage=keyCertSign,cRLSign",
                "-addext", "subjectKeyIdentifier=hash")

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def ca(self):
        return self.path("ca.crt")

    def key(self, name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                self.path(name + ".key"))

    def pair(self, name):
        return self.path(name + ".crt"), self.path(name + ".key")

    def issue(self, name, sans, cn=None, dates=()):
        """name.crt and name.key anew, each put in place whole. dates: of openssl ca's form."""
        fresh = name + ".fresh"
        self.key(fresh)
        openssl("req", "-new", "-key", self.path(fresh + ".key"), "-subj", f"/CN={cn or name}",
                "-config", self.path("config"), "-out", self.path(fresh + ".csr"), "-addext",
                "subjectAltName=" + ",".join(sans), "-addext",
                "extendedKeyUsage=serverAuth,clientAuth")
        when = ["-startdate", dates[0], "-enddate", dates[1]] if dates else ["-days", "30"]
        openssl("ca", "-batch", "-notext", "-config", self.path("config"), *when, "-in",
                self.path(fresh + ".csr"), "-out", self.path(fresh + ".crt"))
        for end in (".key", ".crt"):
            os.replace(self.path(fresh + end), self.path(name + end))
        return self.pair(name)

    def list_revoked(self, *names, file="revoked.pem"):
        """A list of these certificates (and those of earlier calls), put in place whole."""
        for name in names:
            openssl("ca", "-config", self.path("config"), "-revoke", self.path(name + ".crt"))
        openssl("ca", "-gencrl", "-config", self.path("config"), "-out", self.path(file + ".new"))
        os.replace(self.path(file + ".new"), self.path(file))
        return self.path(file)

    def serial(self, name):
        said = openssl("x509", "-in", self.path(name + ".crt"), "-noout", "-serial")
        return said.strip().split("=")[1]
