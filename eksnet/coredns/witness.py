"""A witness for one lookup: a CoreDNS of the course's own between a pod and the cluster's DNS.

It has a namespace of its own, which is deleted with it. Nothing else of the cluster is touched: the
cluster's DNS and the namespace that is asked from stay as they are. Same on every target; on any
but the sandbox the guard wants the cluster's name said.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eksnet import inputs
from eksnet.coredns.installed import IMAGE
from eksnet.coredns.observe import ask_each, witness_walk
from eksnet.coredns.resolvers import program_of
from eksnet.dns import (
    Question,
    Reply,
    ResolvConf,
    Walk,
    first_difference,
    search_walk,
    walk_of_questions,
)
from eksnet.dns.walk import check_asked

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

# What an option of resolv.conf may be; a resolver takes more than 15 for 15.
_MOST_DOTS = 255
_NEIGHBOUR, _WITNESS, _CLIENT = "neighbour", "witness", "client"
_PORT = 53

_Replies = Mapping[tuple[str, str], Reply]

_WITNESS_COREFILE = """
.:53 {
    log
    ready
    forward . /etc/resolv.conf
}
"""


@dataclass(frozen=True)
class Lookup:
    """One lookup, predicted and observed.

    Attributes:
        conf: The resolv.conf that it was made with, but for the nameserver: the real one's stands.
        predicted: The walk by the resolver's rules, with the replies that the cluster's DNS gave
            when each name was asked for by itself.
        observed: The walk that the witness logged.
    """

    conf: ResolvConf
    predicted: Walk
    observed: Walk

    @property
    def agrees(self) -> bool:
        """Whether both have the same rows, see `first_difference`."""
        return first_difference(self.predicted, self.observed) == 0


def look_up(
    cluster: Cluster,
    name: str,
    namespace: str,
    *,
    profile: str = "glibc",
    ndots: int | None = None,
) -> Lookup:
    """Look a name up as a pod of a namespace would, and return what was predicted and observed.

    Makes a namespace with three pods and deletes it at the end, whatever happens, without waiting
    until it is gone. The lookup has the real search list of the namespace's pods.

    Args:
        cluster: The cluster.
        name: The name, as a program would give it.
        namespace: The namespace whose pods look it up; no pod is made in it.
        profile: The resolver, which decides on the pod's image: see `witness_walk`.
        ndots: Another ndots than that of the real file, as in a pod's dnsConfig.

    Raises:
        EksnetError: No such namespace, a name that cannot be asked, the pods do not start, or the
            DNS does not answer.
    """
    program_of(profile)
    check_asked(name, profile)
    cluster.get("namespace", inputs.namespace(namespace))
    with _place(cluster) as (place, witness):
        conf = _conf_in(cluster, place, namespace)
        if ndots is not None:
            conf = conf.with_option("ndots", str(inputs.count(ndots, "ndots", 0, _MOST_DOTS)))
        # No reply can add a question to those that NXDOMAIN alone leads to.
        every = search_walk(name, conf, profile=profile).questions
        start_client(cluster, _CLIENT, place, witness, conf, profile)
        observed = witness_walk(
            cluster, _CLIENT, name, place, profile=profile,
            witness=_WITNESS, witness_namespace=place,
        )  # fmt: skip
        replies = _replies(cluster, place, every, conf.nameservers[0])

    def known(name: str, rdtype: str) -> Reply:
        return replies.get((name.lower(), rdtype), Reply.NXDOMAIN)

    predicted = search_walk(name, conf, profile=profile, answers=known)
    return Lookup(conf, predicted, _with_types(observed, replies))


def _with_types(observed: Walk, replies: _Replies) -> Walk:
    """Return a walk with the type of what was found, which not every program tells."""

    def reply(one: Question) -> Reply:
        known = replies.get((one.name.lower(), one.rdtype))
        return known if known and one.reply is Reply.ANSWER else one.reply

    return walk_of_questions(replace(one, reply=reply(one)) for one in observed.questions)


@contextlib.contextmanager
def _place(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Make a namespace with a witness and a usual pod; delete it at the end.

    What comes is the namespace and the witness's address.
    """
    place = f"eksnet-witness-{secrets.token_hex(3)}"
    try:
        labels = {"app.kubernetes.io/managed-by": "eksnet"}
        metadata = {"name": place, "labels": labels}
        cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
        # Both start at the same time.
        neighbour = {"name": _NEIGHBOUR, "namespace": place}
        _create(cluster, neighbour, _runs("glibc"))
        address = start_server(cluster, _WITNESS, _WITNESS_COREFILE, place)
        _await_ready(cluster, neighbour)
        yield place, address
    finally:
        # The namespace controller lets five seconds pass first, and nobody needs the name again.
        cluster.delete("namespace", place, wait=False)


def start_server(cluster: Cluster, name: str, corefile: str, namespace: str, **spec: object) -> str:
    """Start a CoreDNS of the course's own, in a pod, and return its address once it answers.

    Args:
        cluster: The cluster.
        name: The name of the pod, and of the ConfigMap with its Corefile.
        corefile: The Corefile; the plugin `ready` has to be in it.
        namespace: Where the pod and the ConfigMap are made.
        spec: More of the pod's spec, such as `serviceAccountName`.

    Raises:
        EksnetError: It is not Ready in time.
    """
    metadata = {
        "name": inputs.object_name(name, "the pod's name"),
        "namespace": inputs.namespace(namespace),
    }
    configmap: dict[str, object] = {
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"Corefile": corefile},
    }
    container = {
        "name": "coredns",
        "image": IMAGE,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "volumeMounts": [{"name": "corefile", "mountPath": "/etc/coredns"}],
    }
    volume = {"name": "corefile", "configMap": {"name": name}}
    _create(cluster, metadata, {"containers": [container], "volumes": [volume], **spec}, configmap)
    _await_ready(cluster, metadata)
    return str(cluster.get("pod", name, namespace)["status"]["podIP"])


def start_client(
    cluster: Cluster,
    name: str,
    namespace: str,
    nameserver: str,
    conf: ResolvConf,
    profile: str = "glibc",
) -> None:
    """Start a pod that looks names up with a resolver, and wait until it is Ready.

    Args:
        cluster: The cluster.
        name: The pod's name.
        namespace: Its namespace.
        nameserver: The server that it asks, such as the witness's address.
        conf: The search list and the options of its resolv.conf.
        profile: The resolver, which decides on the image: see `witness_walk`.

    Raises:
        EksnetError: It is not Ready in time, or there is no such resolver.
    """
    inputs.object_name(name, "the pod's name")
    inputs.namespace(namespace)
    inputs.address(nameserver, "the nameserver")
    options = [option.partition(":")[::2] for option in conf.options]
    dns_config = {
        "nameservers": [nameserver],
        "searches": list(conf.search),
        "options": [{"name": key, **({"value": value} if value else {})} for key, value in options],
    }
    spec = {"dnsPolicy": "None", "dnsConfig": dns_config, **_runs(profile)}
    metadata = {"name": name, "namespace": namespace}
    _create(cluster, metadata, spec)
    _await_ready(cluster, metadata)


def _runs(profile: str) -> dict[str, object]:
    """Return the part of a pod's spec that keeps a resolver's program at hand."""
    program = program_of(profile)
    main = {"name": "main", "image": program.image, "command": list(program.idle_command)}
    return {"containers": [main]}


def _create(
    cluster: Cluster, metadata: dict[str, str], spec: dict[str, object], *before: dict[str, object]
) -> None:
    """Make a pod, and what it needs before it."""
    quick = {"terminationGracePeriodSeconds": 0, **spec}
    pod: dict[str, object] = {"kind": "Pod", "metadata": metadata, "spec": quick}
    objects = ({"apiVersion": "v1", **one} for one in (*before, pod))
    cluster.apply("\n---\n".join(map(json.dumps, objects)))


def _await_ready(cluster: Cluster, metadata: dict[str, str]) -> None:
    # `wait` tells the reader what it waited for; these pods are no part of the lesson.
    with contextlib.redirect_stdout(io.StringIO()):
        cluster.wait("pod", metadata["name"], namespace=metadata["namespace"])


def _conf_in(cluster: Cluster, place: str, namespace: str) -> ResolvConf:
    """Return the file of a usual pod of a namespace: its neighbour's, with the other namespace."""
    read = cluster.exec(_NEIGHBOUR, ["cat", "/etc/resolv.conf"], place)
    return ResolvConf.parse(read.stdout.replace(f" {place}.svc.", f" {namespace}.svc."))


def _replies(
    cluster: Cluster, place: str, questions: Iterable[Question], nameserver: str
) -> _Replies:
    """Ask the cluster's DNS each question by itself, and return what came back."""

    def run(command: list[str]) -> str:
        return cluster.exec(_NEIGHBOUR, command, place).stdout

    asked = [(one.name.lower(), one.rdtype) for one in questions]
    answers = ask_each(asked, run, f"{nameserver}/{_PORT}")
    return {one: answer.reply for one, answer in answers.items()}
