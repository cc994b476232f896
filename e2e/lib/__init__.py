# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end cases stand on: real processes, real certificates, real clients."""
from .case import Case
from .certs import Certs
from .ctl import Etcdctl, Reference
from .env import BIN, REFERENCE, binary, free_port, reference
from .member import Member
from .until import wait_until

__all__ = ["BIN", "Case", "Certs", "Etcdctl", "Member", "REFERENCE", "Reference", "binary",
           "free_port", "reference", "wait_until"]
