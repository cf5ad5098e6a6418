"""What the sandbox makes up for a lesson, by the names that both its sides know.

A lesson writes these objects (`eksnet.cluster.simulated`), the AWS side and the supervisor read
them; so whoever looks into the cluster sees what is made up.
"""

from __future__ import annotations

import re

CLOCK_NAMESPACE, CLOCK, FACTOR = "kube-system", "eksnet-clock", "factor"
"""The ConfigMap that makes the autoscaler's clock run faster, and its key."""
FASTEST = 120
FLEET = "eksnet.io/simulated"
"""The label and the taint of a node that is an object and nothing else."""
_CPU = re.compile(r"(\d+)([mk]?)")
_UNITS = {"": 1, "m": 0.001, "k": 1000}


def cores_of(quantity: str) -> float:
    """Return the cores of a node's quantity, such as `64` or `1930m`; what is none counts as 0."""
    found = _CPU.fullmatch(quantity)
    return int(found[1]) * _UNITS[found[2]] if found else 0
