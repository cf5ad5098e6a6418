"""What clients notice of a change: the answers that they got while it was made."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.cluster.contents import MANAGED_BY
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NO_ANSWER = "no answer"
_NAME = "client"
# Six clients at once: a load balancer has two targets in the course, and one may be slow.
_SEND = f"""
ask() {{
    while true; do
        if wget -qO /dev/null "$URL" 2>/tmp/$1; then echo 200; continue; fi
        status=$(sed -n 's/.*HTTP[^ ]* \\([0-9]*\\).*/\\1/p' /tmp/$1)
        echo "${{status:-{NO_ANSWER}}}"
    done
}}
for loop in 1 2 3 4 5 6; do ask $loop & done; wait
"""


def answers_during(
    cluster: Cluster, url: str, work: Callable[[], Any], namespace: str | None = None
) -> Counter[str]:
    """Have six clients in a pod send requests while something is done, and count the answers.

    Each client sends one request after the other. The pod is deleted at the end.

    Args:
        cluster: The cluster.
        url: What they ask for.
        work: What is done meanwhile.
        namespace: Where the pod is made; the context's own when None.

    Returns:
        How often each status came, and how often there was `no answer`.

    Raises:
        EksnetError: `work` cannot be called, or the pod does not start.
    """
    inputs.url(url)
    if not callable(work):
        raise EksnetError(
            f"work is {inputs.shown(work)}; nothing was changed", "a function without arguments"
        )
    with _clients(cluster, url, namespace):
        work()
        return Counter(cluster.logs(_NAME, namespace).splitlines())


@contextlib.contextmanager
def _clients(cluster: Cluster, url: str, namespace: str | None) -> Iterator[None]:
    container = {
        "name": _NAME, "image": "busybox:1.36", "command": ["sh", "-c", _SEND],
        "env": [{"name": "URL", "value": url}],
    }  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": _NAME, "labels": {MANAGED_BY: "eksnet"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }  # fmt: skip
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            cluster.apply(json.dumps(pod), namespace)
            cluster.wait(f"pod/{_NAME}", namespace=namespace)
        yield
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            cluster.delete(f"pod/{_NAME}", namespace=namespace)
