"""What the sandbox makes up for a lesson, by the names that both its sides know.

A lesson writes these objects (`eksnet.cluster.simulated`), the AWS side and the supervisor read
them; so whoever looks into the cluster sees what is made up.
"""

from __future__ import annotations

CLOCK_NAMESPACE, CLOCK, FACTOR = "kube-system", "eksnet-clock", "factor"
"""The ConfigMap that makes the autoscaler's clock run faster, and its key."""
FASTEST = 120
FLEET = "eksnet.io/simulated"
"""The label and the taint of a node that is an object and nothing else."""
