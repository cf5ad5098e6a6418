"""`Cluster`: the small surface that notebooks and chapters use."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from eksnet import inputs
from eksnet.aws import Account, Write, tags
from eksnet.cluster import (
    addons,
    applying,
    conditions,
    contents,
    edits,
    helm,
    manifests,
    objects,
    pods,
    rollout,
    runs,
    waiting,
)
from eksnet.cluster.access import Access
from eksnet.cluster.applying import Place
from eksnet.cluster.backups import Backup, Backups, Restored
from eksnet.cluster.client import Client
from eksnet.cluster.conditions import Condition, Test
from eksnet.cluster.edits import Checks, Edit
from eksnet.cluster.fields import Owned, owners
from eksnet.cluster.guard import Identity
from eksnet.cluster.helm import Helm
from eksnet.cluster.kinds import ENDPOINT_SLICE, EVENT, REVIEW, Kinds
from eksnet.cluster.objects import Applied, Event, Resource
from eksnet.cluster.pods import Command, Exec, PodRun
from eksnet.cluster.runs import Run
from eksnet.cluster.snapshots import ADDON, Snapshots
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError, RefusedError
from eksnet.listing import Listing

# How many lines of a log may be asked for: what the API server keeps the number in.
_LINES = 2**63 - 1
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def _dial(host: str, port: int, seconds: float) -> socket.socket:
    """Return a connection from the internet.

    Args:
        host: A name or an address.
        port: The port.
        seconds: How long it may take, in seconds.

    Raises:
        OSError: There is no such name, or no connection.
    """
    return socket.create_connection((host, port), seconds)


class Cluster:
    """A cluster that was connected to.

    Every name of an object may be given as kubectl takes it: `("deployment", "coredns")` or
    `"deployment/coredns"`, with short names and plurals. Without a namespace, the context's own is
    meant (`default`, if it has none). Every method raises `EksnetError`, with what was seen, what
    was expected and the next step; `ApiError` when the API server was the one to refuse.

    Attributes:
        target: What was connected to.
        identity: What makes the cluster this one.
        namespace: The namespace that is meant when none is said.
        version: The API server's version, such as v1.35.4.
        checks: What a text has to pass before it is written into a ConfigMap. `eksnet.connect`
            sets it: what a Corefile may say is known to the rooms above this one.
        account: Reads the AWS account that the cluster is in, where one is asked for: the cluster
            may be there before its AWS side is. None where none is known.
        dial: Connects to a host and port from the internet: on the sandbox, from the one that it
            has; elsewhere from this computer.
        certificates_ca: The file of the authority that signs certificates in the sandbox's ACM;
            None elsewhere, where certificates are the public ones.
        helm_program: Says which Helm is called and how it finds the cluster, where one is asked
            for. None where that is not known.
        lesson: The lesson that `eksnet.begin` has begun; empty for none.
        compute: What its pods run on: `nodes`, `auto` for EKS Auto Mode, or `fargate`.
    """

    checks: Checks = MappingProxyType({})
    account: Callable[[], Account] | None = None
    dial: Callable[[str, int, float], socket.socket] = staticmethod(_dial)
    certificates_ca: Path | None = None
    helm_program: Callable[[], Helm] | None = None
    lesson: str = ""
    compute: str = "nodes"

    def __init__(
        self,
        client: Client,
        kinds: Kinds,
        target: Target,
        identity: Identity,
        namespace: str,
        version: str,
        nodes: int | None,
    ) -> None:
        """Put together what `eksnet.connect` found."""
        self.target = target
        self.identity = identity
        self.namespace = namespace
        self.version = version
        self._client = client
        self._kinds = kinds
        self._nodes = nodes
        self._aws_clients: dict[str, Any] = {}
        self.keep_backups_in(_backup_directory())
        client.before_write = lambda method, path: self.snapshots.before_write(
            method, path, client.find
        )

    def keep_backups_in(self, base: Path) -> None:
        """Have another folder for backups: those of somebody else's work on this cluster.

        Args:
            base: The folder, which has one for each cluster.
        """
        self._backups = Backups(self._client, self.identity, self.target.name, base)

    def __repr__(self) -> str:
        nodes = "" if self._nodes is None else f", {self._nodes} nodes"
        return f"<Cluster {self.target.name}: Kubernetes {self.version}{nodes}>"

    # What is made here is found again.

    @property
    def current_run(self) -> Run:
        """The learner's run on this cluster, as far as one has begun."""
        return runs.read(self.directory)

    @property
    def run_id(self) -> str:
        """The id of that run; one begins where none has, or the last one has ended.

        Raises:
            EksnetError: It cannot be kept on this computer.
        """
        return runs.begun(self.directory)

    def begin_lesson(self, lesson: str) -> None:
        """Let what is made from now on be a lesson's, and remember that it was begun.

        Args:
            lesson: The lesson's notebook.

        Raises:
            EksnetError: It cannot be kept on this computer.
        """
        runs.note(self.directory, lesson)
        self.lesson = lesson

    def end_run(self) -> None:
        """End the run: what is made from now on carries another id.

        Raises:
            EksnetError: It cannot be kept on this computer.
        """
        runs.end(self.directory)

    @property
    def marks(self) -> dict[str, str]:
        """What is made now carries: labels in the cluster, tags in AWS.

        They say that it is the course's, by which a clean-up finds it, of which run it is, and of
        which lesson.
        """
        lesson = {tags.LESSON: self.lesson} if self.lesson else {}
        return {**tags.COURSE, tags.RUN: self.run_id, **lesson}

    # AWS.

    @property
    def eks_name(self) -> str:
        """The cluster's name in EKS.

        Raises:
            EksnetError: No AWS account is known for the cluster.
        """
        return self._known_account().cluster

    @property
    def region(self) -> str:
        """The AWS region that the cluster is in.

        Raises:
            EksnetError: No AWS account is known for the cluster.
        """
        return self._known_account().region

    def aws(self, service: str) -> Any:
        """Return a boto3 client for the cluster's own AWS account.

        The learner's own AWS set-up is used for a target `eks:` alone. What changes anything
        passes the cluster's guard, what is made with the course's tag gets all `marks`, and before
        the add-on coredns is changed a snapshot of it is kept.

        Args:
            service: The service as boto3 calls it, such as `eks`.

        Raises:
            EksnetError: No AWS account is known for the cluster.
        """
        account = self._known_account()
        if service not in self._aws_clients:
            name = inputs.text(service, "the service", "such as eks")
            self._aws_clients[name] = account.client(name, self._before_aws_write)
        return self._aws_clients[service]

    def _before_aws_write(self, write: Write) -> Mapping[str, Any]:
        """Ask the guard, and keep a snapshot of what is risky to change; return what is sent."""
        self._client.ask_guard()
        if before := addons.change(write, self.eks_name):
            # What may be changed and not be described cannot be kept.
            with contextlib.suppress(RefusedError):
                found = addons.state(self.aws("eks"), self.eks_name)
                self.snapshots.take(ADDON, found, before)
        is_removal = write.operation.startswith("Delete")
        return write.parameters if is_removal else tags.marked(write.parameters, lambda: self.marks)

    def _known_account(self) -> Account:
        if self.account is None:
            raise EksnetError(
                f"for {self.target} no AWS account is known: a kubeconfig names none",
                "the sandbox, or an EKS cluster that is named by its account",
                'eksnet.connect("sandbox"), or eksnet.connect("eks:NAME@REGION")',
            )
        return self.account()

    @property
    def access(self) -> Access:
        """How another program reaches the cluster and its AWS account, for now."""
        account = self.account() if self.account else None
        return Access.of(self._client.configuration, self.namespace, account)

    # Helm.

    def helm(self, command: Command, timeout: float = 300) -> Exec:
        """Run a command of Helm on the cluster.

        Args:
            command: What follows the word `helm`, as text or as a list; no shell is between.
            timeout: How long it may take, in seconds.

        Raises:
            EksnetError: Helm could not do it, or is not there.
        """
        inputs.seconds(timeout)
        if self.helm_program is None:
            raise EksnetError(
                f"for {self.target} no Helm is known", "the sandbox, or a context of a kubeconfig"
            )
        return helm.run(self.helm_program(), command, self._client.ask_guard, timeout)

    # Reading.

    @property
    def read_as_it_is(self) -> Callable[..., tuple[int, Mapping[str, str], Iterator[bytes]]]:
        """What reads a path of the API for another program; see `Client.read_as_it_is`."""
        return self._client.read_as_it_is

    def get(self, kind: str, name: str = "", namespace: str | None = None) -> Resource:
        """Return an object as it is now.

        Args:
            kind: The kind, or kind/name.
            name: The name.
            namespace: The namespace; the context's own when None.

        Raises:
            NotFoundError: There is no such object, or no such kind.
        """
        place = self._place(kind, name, namespace)
        return Resource(self._client.get(place.path))

    def find(self, kind: str, name: str = "", namespace: str | None = None) -> Resource | None:
        """Return an object as it is now; None when there is none of that name.

        Args:
            kind: The kind, or kind/name.
            name: The name.
            namespace: The namespace; the context's own when None.

        Raises:
            UnknownKindError: The cluster serves no such kind.
            ApiError: It may not be read, or there is no answer.
        """
        found = self._client.find(self._place(kind, name, namespace).path)
        return None if found is None else Resource(found)

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        selector: str = "",
        all_namespaces: bool = False,
        wide: bool = False,
    ) -> Listing[Resource]:
        """Return the objects of a kind, with the columns of `kubectl get` except times.

        Args:
            kind: The kind.
            namespace: The namespace; the context's own when None.
            selector: A label selector, such as `k8s-app=kube-dns`.
            all_namespaces: Whether to list those of all namespaces.
            wide: Whether to show the columns of `-o wide` too.
        """
        found = self._kinds.called(inputs.text(kind, "the kind", "such as pods"))
        where = "" if all_namespaces else self._in(namespace)
        query = {"includeObject": "Object"}
        if selector:
            query["labelSelector"] = inputs.sendable(selector, "the selector")
        answer = self._client.get(found.path(where), query, accept=_TABLE)
        across = found.namespaced and all_namespaces
        return objects.table(answer, found.name, wide=wide, namespaced=across)

    def logs(
        self,
        pod: str,
        namespace: str | None = None,
        *,
        container: str = "",
        previous: bool = False,
        tail: int | None = None,
    ) -> str:
        """Return the log of a pod's container.

        Args:
            pod: The pod's name.
            namespace: Its namespace; the context's own when None.
            container: The container; may be left out when there is one.
            previous: Whether the container's last run is meant.
            tail: How many lines from the end; all when None.
        """
        if tail is not None:
            inputs.count(tail, "tail", 0, _LINES)
        return pods.logs(
            self._client,
            _pod(pod),
            self._in(namespace),
            container=inputs.sendable(container, "the container"),
            previous=previous,
            tail=tail,
        )

    def events(self, about: str = "", namespace: str | None = None) -> Listing[Event]:
        """Return events, the last one last, without their times.

        Args:
            about: An object as kind/name; all objects when empty.
            namespace: The namespace; the context's own when None.
        """
        query = {}
        where = self._in(namespace)
        if about:
            place = self._place(about, "", where)
            query["fieldSelector"] = (
                f"involvedObject.kind={place.kind.name},involvedObject.name={place.name}"
            )
            # What has no namespace has its events in the namespace default, or anywhere.
            where = place.namespace
        return objects.events(self._client.get(EVENT.path(where), query).get("items") or ())

    def owners(
        self, kind: str, name: str = "", namespace: str | None = None, *, below: str = ""
    ) -> Listing[Owned]:
        """Return who owns the fields of an object, as the API server's own record says it.

        Args:
            kind: The kind, or kind/name.
            name: The name.
            namespace: The namespace; the context's own when None.
            below: A path such as `.data`: only this field and what is in it.

        Raises:
            ApiError: There is no such object, or it may not be read.
        """
        return owners(self.get(kind, name, namespace), below)

    def may(
        self, verb: str, resource: str, namespace: str = "", *, group: str = "", name: str = ""
    ) -> bool:
        """Ask the API server whether you may do something; nothing is changed.

        Args:
            verb: The verb, such as `create`.
            resource: The kind's plural, such as `pods`, or `pods/exec` for a part of it.
            namespace: The namespace; empty for all of them, or for what is in none.
            group: The API group; empty for the core group.
            name: The object's name; empty for all of them.

        Raises:
            ApiError: It cannot be asked.
        """
        kind, _, part = inputs.text(resource, "the resource", "such as pods").partition("/")
        wanted = {
            "verb": verb, "group": group, "resource": kind, "subresource": part,
            "namespace": namespace, "name": name,
        }  # fmt: skip
        body = {
            "apiVersion": REVIEW.api_version,
            "kind": REVIEW.name,
            "spec": {"resourceAttributes": {key: said for key, said in wanted.items() if said}},
        }
        status = self._client.ask(REVIEW.path(), body).get("status") or {}
        return bool(status.get("allowed"))

    def try_create(self, manifest: str, namespace: str | None = None) -> None:
        """Have the API server and its admission webhooks judge a new object; nothing is created.

        Args:
            manifest: YAML text with one object, or several.
            namespace: Where it would go if it names no namespace; the context's own when None.

        Raises:
            EksnetError: It would be refused; the message says by what.
        """
        for one in manifests.read(manifest):
            kind = self._kinds.of(one.api_version, one.kind)
            place = applying.place(kind, one.name, one.namespace or self._in(namespace))
            self._client.ask(kind.path(place.namespace), one.body)

    # Waiting.

    def wait(
        self,
        kind: str,
        name: str = "",
        condition: str | Condition | Test = "Ready",
        namespace: str | None = None,
        timeout: float = 60,
    ) -> None:
        """Wait for a condition and say so; a countdown shows meanwhile.

        Args:
            kind: The kind, or kind/name.
            name: The name.
            condition: See `eksnet.cluster.conditions.named`.
            namespace: The namespace; the context's own when None.
            timeout: How long at most, in seconds.

        Raises:
            DeadlineError: It did not come; the message holds the state and the last events.
        """
        wanted = conditions.named(condition)
        place = self._place(kind, name, namespace)
        what = self._watched(place)
        if wanted.name == conditions.ENDPOINTS_READY:
            what = _endpoints_of(place)
        waiting.until(self._client, what, wanted, timeout)
        print(f"{what} is {wanted.name}")

    def rollout_status(self, kind: str, namespace: str | None = None, timeout: float = 120) -> None:
        """Wait until a rollout is done, by the rules of `kubectl rollout status`, and say so.

        Args:
            kind: The workload as kind/name.
            namespace: The namespace; the context's own when None.
            timeout: How long at most, in seconds.

        Raises:
            DeadlineError: It was not done in time, or cannot go on.
        """
        what = self._watched(self._place(kind, "", namespace))
        waiting.until(self._client, what, _RolledOut(), timeout, brief=_rollout_brief)
        print(f"{what} is rolled out")

    # Writing.

    def apply(
        self,
        manifest: str | Path,
        namespace: str | None = None,
        *,
        force: bool = False,
        unchecked: bool = False,
        mark: bool = True,
    ) -> Listing[Applied]:
        """Apply a manifest on the server's side, in its order, as field manager `eksnet`.

        Args:
            manifest: YAML text with one or several objects, or the file that holds it.
            namespace: Where objects go that name no namespace; the context's own when None.
            force: Whether to take over fields that others own.
            unchecked: Whether to write a ConfigMap whose text does not pass; see `edit_configmap`.
            mark: Whether what is made is the course's, to be found and deleted by its `marks`.

        Raises:
            EksnetError: Bad YAML (with the line), an unknown kind or field, or a conflict (with
                the owner of each field). What was applied before stays and is named.
        """
        found = manifests.read(manifest)
        where = self._in(namespace)
        for one in found:
            self._refuse_unfit(one.kind, one.name, one.namespace or where, one.body, unchecked)
        marks = (lambda: self.marks) if mark else dict
        results = applying.apply(self._client, self._kinds, found, where, marks, force=force)
        return objects.applied(results)

    def delete(
        self,
        kind: str,
        name: str = "",
        namespace: str | None = None,
        *,
        timeout: float = 120,
        wait: bool = True,
    ) -> Listing[Applied]:
        """Delete an object, and wait until it is gone.

        What is not there is no error: a clean-up cell may run twice.

        Args:
            kind: The kind, or kind/name.
            name: The name.
            namespace: The namespace; the context's own when None.
            timeout: How long to wait, in seconds.
            wait: Whether to wait; without, the cluster goes on deleting by itself.

        Raises:
            EksnetError: It names no object; nothing was changed.
            DeadlineError: It was still there.
        """
        if not isinstance(kind, str) or "\n" in kind:
            what = (
                "a manifest" if isinstance(kind, str | Path) else f"of type {type(kind).__name__}"
            )
            raise EksnetError(
                f"what to delete is {what}; nothing was changed",
                "a kind and a name, such as deployment/coredns",
                "cluster.delete_manifest(…) deletes what a manifest describes",
            )
        places = [self._place(kind, name, namespace)]
        return objects.applied(applying.delete(self._client, places, timeout, wait=wait))

    def delete_manifest(
        self,
        manifest: str | Path,
        namespace: str | None = None,
        *,
        timeout: float = 120,
        wait: bool = True,
    ) -> Listing[Applied]:
        """Delete what a manifest describes, the last object first, and wait until it is gone.

        What is not there is no error: a clean-up cell may run twice.

        Args:
            manifest: YAML text with one or several objects, or the file that holds it.
            namespace: Where objects are that name no namespace; the context's own when None.
            timeout: How long to wait for each object, in seconds.
            wait: Whether to wait; without, the cluster goes on deleting by itself.

        Raises:
            EksnetError: It is no manifest; nothing was changed.
            DeadlineError: An object was still there.
        """
        places = applying.places(self._kinds, manifests.read(manifest), self._in(namespace))
        return objects.applied(applying.delete(self._client, places, timeout, wait=wait))

    def patch(
        self,
        kind: str,
        name: str,
        patch: Mapping[str, Any],
        namespace: str | None = None,
        *,
        unchecked: bool = False,
    ) -> Resource:
        """Merge fields into an object (JSON merge patch: lists are replaced, None removes).

        Args:
            kind: The kind, or kind/name.
            name: The name.
            patch: The fields.
            namespace: The namespace; the context's own when None.
            unchecked: Whether to write a ConfigMap whose text does not pass; see `edit_configmap`.

        Raises:
            EksnetError: It is no mapping of fields, or an empty one; nothing was sent.
        """
        place = self._place(kind, name, namespace)
        fields = applying.fields_of(patch, "the patch")
        self._refuse_unfit(place.kind.name, place.name, place.namespace, fields, unchecked)
        return Resource(self._merge(place, fields))

    def replace(
        self, thing: Mapping[str, Any], *, dry_run: bool = False, unchecked: bool = False
    ) -> Resource:
        """Replace an object by another version of it, as `kubectl replace` does.

        Args:
            thing: The object, with its kind and its name. With its resource version, a change of
                somebody else's meanwhile is a conflict.
            dry_run: Whether the API server only says what would become of it.
            unchecked: Whether to write a ConfigMap whose text does not pass; see `edit_configmap`.

        Raises:
            EksnetError: It is no object; nothing was sent.
        """
        body = applying.fields_of(thing, "the object")
        (one,) = manifests.read(json.dumps(body))
        namespace = one.namespace or self.namespace
        if not dry_run:
            self._refuse_unfit(one.kind, one.name, namespace, body, unchecked)
        place = applying.place(self._kinds.called(one.kind), one.name, namespace)
        query = {"fieldManager": "eksnet-edit", **({"dryRun": "All"} if dry_run else {})}
        answer = self._client.send("PUT", place.path, body, query)
        return Resource({"kind": place.kind.name, **answer.body})

    def hand_over(self, manifest: Mapping[str, Any], manager: str) -> None:
        """Make a field manager the only owner of an object's fields, as if it had made it.

        Owners of fields of the status stay. Only what is as in the manifest is worth handing over.

        Args:
            manifest: The object as the manager applies it.
            manager: The field manager.

        Raises:
            ApiError: There is no such object, or the API server refused.
        """
        (one,) = manifests.read(json.dumps(applying.fields_of(manifest, "the manifest")))
        where = one.namespace or self.namespace
        place = applying.place(self._kinds.called(one.kind), one.name, where)
        applying.hand_over(self._client, place, one.body, manager)

    def _refuse_unfit(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        fields: Mapping[str, Any],
        unchecked: bool,
    ) -> None:
        if kind == "ConfigMap" and "data" in fields:
            data = fields["data"]
            if data is not None:
                data = applying.fields_of(data, "the ConfigMap's data", empty=True)
                edits.refuse_huge(data)
            where = namespace or self.namespace
            edits.refuse_unfit(self.checks, where, name, data, unchecked=unchecked)

    def run(
        self,
        image: str,
        command: Command,
        namespace: str | None = None,
        *,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
        timeout: float = 60,
    ) -> PodRun:
        """Run a command in a pod of its own, read its output, and take the pod away.

        Args:
            image: The image, such as busybox:1.36.
            command: The command and its arguments, as text or as a list; no shell is between.
            namespace: The pod's namespace; the context's own when None.
            name: The pod's name; a fresh one when empty.
            labels: The pod's labels.
            spec: Fields of the pod's spec, such as {"dnsPolicy": "Default"}.
            timeout: How long it may take, in seconds.

        Raises:
            DeadlineError: It did not end in time, or the image cannot be had.
            EksnetError: The pod is to have a host network, and every node is Fargate's.
        """
        if self.compute == "fargate" and (spec or {}).get("hostNetwork"):
            raise EksnetError(
                f"{self.target} has no node with a host network for a pod: it runs pods on Fargate",
                "a cluster with nodes",
                "go on with the next section",
            )
        return pods.run(
            self._client,
            image,
            command,
            self._in(namespace),
            name=name,
            labels={**self.marks, **(labels or {})},
            spec=spec,
            timeout=timeout,
        )

    def exec(
        self,
        pod: str,
        command: Command,
        namespace: str | None = None,
        *,
        container: str = "",
        timeout: float = 30,
    ) -> Exec:
        """Run a command in a running pod; to the guard this is a change.

        Args:
            pod: The pod's name.
            command: The command and its arguments, as text or as a list; no shell is between.
            namespace: The pod's namespace; the context's own when None.
            container: The container; may be left out when there is one.
            timeout: How long it may take, in seconds.

        Raises:
            DeadlineError: It did not end in time.
        """
        return pods.execute(
            self._client,
            _pod(pod),
            command,
            self._in(namespace),
            inputs.sendable(container, "the container"),
            timeout,
        )

    def rollout_restart(self, kind: str, namespace: str | None = None) -> None:
        """Restart a workload's pods one after the other, as `kubectl rollout restart` does.

        Args:
            kind: The workload as kind/name.
            namespace: The namespace; the context's own when None.
        """
        place = self._place(kind, "", namespace)
        workload = {"kind": place.kind.name, **self._client.get(place.path)}
        self._merge(place, rollout.restart_patch(workload, datetime.now(UTC)))
        print(f"{self._watched(place)} is restarting")

    def edit_configmap(
        self,
        name: str,
        key: str,
        change: str | Callable[[str], str],
        namespace: str | None = None,
        *,
        unchecked: bool = False,
    ) -> Edit:
        """Change a key of a ConfigMap and show the difference.

        What is to be written is checked first, and nothing is sent when it does not pass: it has to
        be text, may not be empty where there was something, and what reads it has to be able to
        start with it: CoreDNS with its Corefile, kube-proxy with its configuration.

        Args:
            name: The ConfigMap's name.
            key: The key, such as Corefile.
            change: The new text, or a function of the present one.
            namespace: The namespace; the context's own when None.
            unchecked: Whether to write a text that is empty, or that what reads it cannot start
                with.

        Raises:
            EksnetError: It does not pass.
        """
        _configmap(name)
        inputs.text(key, "the key", "a key such as Corefile")
        where = self._in(namespace)
        return edits.edit_configmap(
            self._client, self.checks, name, key, change, where, unchecked=unchecked
        )

    # Backups: reading the cluster, and writing files on this computer.

    def backup(self, configmap: str, namespace: str | None = None) -> Backup:
        """Write a ConfigMap's exact data and the cluster's identity to a file.

        The first backup is kept until a restore has used it: after an edit, a second call changes
        nothing and says that the ConfigMap has been edited since.

        Args:
            configmap: The ConfigMap's name.
            namespace: Its namespace; the context's own when None.
        """
        return self._backups.backup(_configmap(configmap), self._in(namespace))

    def restore(
        self,
        configmap: str | Path | Backup,
        namespace: str | None = None,
        *,
        unchecked: bool = False,
    ) -> Restored:
        """Put back a ConfigMap's data; what was there instead is kept in a file.

        Args:
            configmap: The ConfigMap's name, or the file of a backup (a Path, or the backup).
            namespace: The namespace; the context's own when None.
            unchecked: Whether to write a text that does not pass; see `edit_configmap`.

        Raises:
            EksnetError: There is no backup, it is one of another cluster, or does not pass.
        """

        def check(name: str, place: str, saved: Mapping[str, Any]) -> None:
            self._refuse_unfit("ConfigMap", name, place, saved, unchecked)

        if isinstance(configmap, os.PathLike):
            return self._backups.restore_file(Path(configmap), check)
        return self._backups.restore(_configmap(configmap), self._in(namespace), check)

    def archive_backup(self, configmap: str, namespace: str | None = None) -> Path | None:
        """Let a ConfigMap's backup wait for its restore no longer; return the file that stays.

        Args:
            configmap: The ConfigMap's name.
            namespace: The namespace; the context's own when None.
        """
        return self._backups.archive_backup(_configmap(configmap), self._in(namespace))

    @property
    def directory(self) -> Path:
        """Where this computer keeps this cluster's backups, and what `begin` replaced."""
        return self._backups.directory

    @property
    def snapshots(self) -> Snapshots:
        """What was there before risky changes; `eksnet rollback` puts it back."""
        return self._backups.snapshots

    def objects_in(self, namespace: str) -> tuple[Resource, ...]:
        """Return the objects of a namespace that nothing else made, as the API server gives them.

        Left out are those that an owner makes, and what each namespace has from its beginning.

        Args:
            namespace: The namespace; all of them when empty.

        Raises:
            EksnetError: It is no name of a namespace.
        """
        place = namespace and inputs.namespace(namespace)
        return tuple(map(Resource, contents.objects_in(self._client, self._kinds, place)))

    def marked(self, selector: str = tags.SELECTOR) -> tuple[Resource, ...]:
        """Return what the course has made outside of namespaces, by labels; namespaces last.

        Args:
            selector: Their labels: those of the course, or others.

        Raises:
            ApiError: They may not be read.
        """
        kinds = contents.MARKED.values()
        return tuple(one for kind in kinds for one in self.list(kind, selector=selector))

    def saved(
        self, configmap: str, namespace: str | None = None, *, restored: bool = False
    ) -> Resource | None:
        """Return a ConfigMap as a backup of this cluster holds it; None when there is none.

        Args:
            configmap: The ConfigMap's name.
            namespace: The namespace; the context's own when None.
            restored: Whether the backup is meant that the last restore used, instead of the one
                that waits for its restore.

        Raises:
            EksnetError: The file is no whole backup.
        """
        found = self._backups.saved(_configmap(configmap), self._in(namespace), restored=restored)
        return None if found is None else Resource(found)

    def _place(self, kind: str, name: str, namespace: str | None) -> Place:
        given = name or kind
        if not name:
            kind, _, name = kind.partition("/")
        if not kind or not name:
            raise EksnetError(
                f"{given!r} is not the name of an object",
                "a kind and a name, such as deployment/coredns",
            )
        inputs.sendable(kind, "the kind")
        return applying.place(self._kinds.called(kind), name, self._in(namespace))

    def _in(self, namespace: str | None) -> str:
        return self.namespace if namespace is None else inputs.namespace(namespace)

    def _watched(self, place: Place) -> waiting.Watched:
        return waiting.watched(place.kind, place.namespace, place.name)

    def _merge(self, place: Place, patch: Mapping[str, Any]) -> dict[str, Any]:
        query = {"fieldManager": "eksnet-edit"}
        answer = self._client.send(
            "PATCH", place.path, dict(patch), query, content_type=applying.MERGE
        )
        return {"kind": place.kind.name, **answer.body}


class _RolledOut(Condition):
    """A workload whose pods all run its newest template."""

    def __init__(self) -> None:
        super().__init__("rolled out", lambda one: rollout.progress(one).done)

    def terminal_reason(self, objects: Sequence[dict[str, Any]]) -> str:
        return rollout.progress(objects[0]).failed if objects else "it is missing"


def _rollout_brief(workloads: Sequence[dict[str, Any]]) -> str:
    return rollout.progress(workloads[0]).waits_for if workloads else ""


def _endpoints_of(service: Place) -> waiting.Watched:
    if service.kind.name != "Service":
        raise EksnetError(f"a {service.kind.name} has no endpoints", "a Service, as service/NAME")
    selector = {"labelSelector": f"kubernetes.io/service-name={service.name}"}
    label = f"service/{service.name}"
    return waiting.Watched(ENDPOINT_SLICE, service.namespace, label, selector)


def _pod(name: str) -> str:
    return inputs.object_name(name.removeprefix("pod/"), "the pod's name")


def _configmap(name: str) -> str:
    return inputs.object_name(name, "the ConfigMap's name")


def _backup_directory() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "eksnet-backups"
