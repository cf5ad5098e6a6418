"""Whatever a command or a function is given: its answer, or an error of the course's own.

Both the tree of commands and the names of the rooms are walked, so what is new is covered by
itself. One argument at a time is hostile (see `hostile.py`); the others are what a learner would
give, so that the first one that is wrong does not hide the rest.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile
import pandas as pd
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import eksnet
from eksnet import checkpoints, cli, coredns, dns, kubeproxy, loadbalancer, widgets
from eksnet import cluster as cluster_room
from eksnet.cluster import Cluster, Condition
from eksnet.cluster.access import Access
from eksnet.coredns.memory import Measured
from eksnet.course.begin import Beginning
from eksnet.course.cleanup import Audit
from eksnet.course.dryrun import DryRun
from eksnet.errors import EksnetError
from eksnet.kubeproxy import Node, Packet, Ruleset, Settings
from eksnet.kubeproxy.settings import MODES
from eksnet.listing import Listing
from eksnet.loadbalancer.planned import Plan, Stack
from eksnet.printable import printable

ROOT = Path(__file__).parent.parent.parent
FEW, MANY = 6, 100
# One border for all examples: nothing in it changes.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def examples(number: int) -> Callable[[Any], Any]:
    """Return Hypothesis's settings; the few are the same in every run."""
    return settings(
        max_examples=number,
        derandomize=number == FEW,
        database=None,
        suppress_health_check=SHARED,
    )


# Commands.


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its words, groups included."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(cli.app)))
# What a command needs besides the argument that is hostile.
REQUIRED = {
    "name": "web", "namespace": "default",
    "url": "http://web.example.com/", "manifests": "none.yaml", "files": "none.yaml",
    "error": "AccessDenied", "notebook": "01a", "source": "none.engine",
    "submissions": ".", "csv": "gradebook.csv", "feedback": "out", "file": "ada.zip",
}  # fmt: skip


def places() -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every place for a value: each argument and option, and one word too many."""
    for path, command in COMMANDS.items():
        yield path, "a word too many"
        yield path, "an option of no command"
        for parameter in command.params:
            if not getattr(parameter, "is_flag", False):
                yield path, parameter.name


def words(path: tuple[str, ...], place: str, value: str, flags: bool) -> list[str]:
    """Return a command line with a hostile value in one place."""
    before, after = [], []
    for parameter in COMMANDS[path].params:
        said = value
        if parameter.required and parameter.name != place:
            said = REQUIRED[parameter.name]
        if getattr(parameter, "is_flag", False):
            before += [parameter.opts[0]] if flags and parameter.name != "help" else []
        elif parameter.name == place or parameter.required:
            is_option = parameter.param_type_name == "option"
            before += [parameter.opts[0], said] if is_option else []
            after += [] if is_option else [said]
    after += [value] if place == "a word too many" else []
    before += [f"--{value}"] if place == "an option of no command" else []
    return [*path, *before, *(["--", *after] if after else [])]


def check_command(place: tuple[tuple[str, ...], str], value: str, flags: bool) -> None:
    before = dict(os.environ)
    try:
        done = CliRunner().invoke(cli.app, words(*place, value, flags))
    finally:
        os.environ.clear()
        os.environ.update(before)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 2), done.output
    assert done.output == printable(done.output)
    assert "Traceback" not in done.output
    if done.exit_code == 2:
        assert done.output.strip()


@pytest.mark.parametrize("place", list(places()), ids=lambda place: " ".join((*place[0], place[1])))
@examples(FEW)
@given(value=hostile.texts, flags=st.booleans())
def test_a_command(border: Any, place: Any, value: str, flags: bool) -> None:
    check_command(place, value, flags)


@pytest.mark.soak
@pytest.mark.parametrize("place", list(places()), ids=lambda place: " ".join((*place[0], place[1])))
@examples(MANY)
@given(value=hostile.texts, flags=st.booleans())
def test_a_command_for_longer(border: Any, place: Any, value: str, flags: bool) -> None:
    check_command(place, value, flags)


def test_every_command_is_walked() -> None:
    assert {("resolve",), ("engine", "status"), ("logs",), ("lab",), ("run",)} <= set(COMMANDS)
    assert len(set(places())) > 2 * len(COMMANDS)


# Functions.

FACES = (eksnet, coredns, dns, kubeproxy, loadbalancer, cluster_room, checkpoints, widgets)
# The modules that a face shows as they are, such as `coredns.memory`.
PARTS = [
    one for face in FACES for name in face.__all__ if inspect.ismodule(one := getattr(face, name))
]
COREFILE = ".:53 {\n    errors\n    reload\n    forward . /etc/resolv.conf\n}\n"
NODE = Node("node", ("10.0.128.10",))
SERVICES, SLICES = kubeproxy.example(1, 2)
RULES = {mode: kubeproxy.predict(SERVICES, SLICES, NODE, Settings(mode)) for mode in MODES}
PACKET = Packet("10.0.129.77", "10.100.16.0", 80)
WALK = dns.search_walk("web", dns.pod_resolv_conf("default"))

# What learners make themselves; every other class is what a function returns.
INPUTS = {Condition, Node, Packet, Settings, dns.ResolvConf, Measured}
RESULTS = {
    cluster_room: "ApiError Applied Backup Cluster DeadlineError Edit Event Exec Identity Listing "
    "PodRun Resource Restored Target",
    coredns: "Answer Check Diagnosis Finding LoggedQuery Lookup",
    dns: "Attempt Profile Question Record Reply Walk",
    kubeproxy: "AddedRules Chain Connection Differences Line Lines LookupTime LookupTimes NamedSet "
    "PacketWalk PacketWalks RuleCounts Ruleset Share Skew Skews Step",
    loadbalancer: "Done Response Rule",
    checkpoints: "Checkpoint CheckpointError Progress Result State",
    widgets: "AnnotationChoices CorednsMemory CorednsReplicas CorefileEditor Model PacketStepper "
    "Panel Picture SearchOrder Stepper Table Text",
    eksnet: "EksnetError",
}


class Samples(dict[Any, list[Any]]):
    """Good values by their types, shown in a few words where a test fails."""

    def __repr__(self) -> str:
        return "samples"


def samples(cluster: Cluster) -> Samples:
    """Return good values of the course's own types: one argument at a time is hostile."""
    order = widgets.search_order("web")
    stepper = widgets.packet_stepper(SERVICES, SLICES, NODE)
    conf = dns.pod_resolv_conf("default")
    return Samples({
        Cluster: [cluster],
        Access: [cluster.access],
        cluster_room.Identity: [cluster.identity],
        Condition: [Condition("there", lambda one: True)],
        Node: [NODE],
        Packet: [PACKET],
        Settings: [Settings(), Settings("nftables")],
        Ruleset: list(RULES.values()),
        dns.ResolvConf: [conf],
        dns.Walk: [WALK],
        dns.Reply: list(dns.Reply),
        dns.Question: [dns.Question("a.example", "A", dns.Reply.ANSWER)],
        dns.Record: list(dns.records(*SERVICES)),
        kubeproxy.PacketWalks: [kubeproxy.packet_walks(RULES["iptables"], PACKET, NODE)],
        kubeproxy.PacketWalk: [kubeproxy.packet_walks(RULES["iptables"], PACKET, NODE)[0]],
        cluster_room.Backup: [cluster_room.Backup("default", "web", Path("missing.json"), False)],
        kubeproxy.LookupTimes: [
            kubeproxy.LookupTimes(
                ("mode",), (("iptables",),), (kubeproxy.LookupTime("iptables", 1, 2.0),)
            )
        ],
        coredns.LoggedQuery: [coredns.LoggedQuery("10.0.0.9", "A", "a.example", "NOERROR")],
        checkpoints.Checkpoint: [eksnet.checkpoint("dns-01"), eksnet.checkpoint("dns-02")],
        widgets.Model: [order.model, stepper.model],
        widgets.SearchOrder: [order.model],
        widgets.PacketStepper: [stepper.model],
        widgets.Stepper: [stepper.model],
        widgets.CorednsMemory: [widgets.coredns_memory().model],
        widgets.CorednsReplicas: [widgets.coredns_replicas().model],
        widgets.CorefileEditor: [widgets.corefile().model],
        widgets.AnnotationChoices: [widgets.annotation_choices().model],
        Stack: [Stack("a/b", "ingress", ("a/b",), None, None)],
        Plan: [Plan("lab", "", (), Listing((), (), ()), (), (), ())],
        coredns.Check: [coredns.Check("fine", "two pods are ready")],
        Measured: [Measured("default", 158_200, 198.0)],
    })  # fmt: skip


# What a learner would give, by the argument's name, where the type alone does not tell.
GOOD: dict[str, Any] = {
    "block": "log", "command": "true", "configmap": "web", "config": "mode: iptables",
    "corefile": COREFILE, "image": "busybox:1.36", "key": "key", "kind": "pod",
    "kube_proxy": "v1.35.4", "kubelet": "v1.35.4", "api_server": "v1.35.4",
    "manifest": json.dumps(SERVICES[0]), "mode": "nftables", "name": "client", "names": "web",
    "namespace": "default", "nameserver": "10.100.0.10", "pod": "client", "text": "",
    "what": "pod", "zone": ".:53", "backend": "10.64.0.0", "address": "10.0.0.9", "sizes": [1, 2],
    "services": SERVICES, "slices": SLICES, "objects": SERVICES[0], "service": SERVICES[0],
    "answers": {"a": 40}, "source": "10.0.0.9", "destination": "10.0.0.8",
    "patch": {"data": {"a": "b"}}, "test": lambda one: True, "before": {}, "queries": (),
    "log": "", "plugin": "errors", "addresses": ("10.0.0.9",), "node": NODE, "endpoints": 2,
    "records": (), "replies": dns.given_answers(), "change": "text",
    "release": "1.14.3", "releases": "1.14.3", "controller": "2.7", "words": "scheme",
    "action": "ec2:DeleteSecurityGroup", "first": "scheme: internal", "second": "",
    "version": "3.3", "older": "2.7", "newer": "3.3",
}  # fmt: skip
# By the function, where one name means two things.
GOOD_FOR: dict[tuple[str, str], Any] = {
    ("load_table", "name"): "coredns_plugin_order",
    ("checkpoint", "name"): "dns-01",
    ("inject_fault", "name"): "A",
    ("example", "services"): 2,
    ("with_option", "name"): "ndots",
    ("parse_dump", "text"): "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n",
    ("candidates", "name"): "web",
    ("find", "name"): "scheme",
    ("records", "objects"): SERVICES[0],
    ("edit_configmap", "name"): "web",
}
NOT_TYPED = (Any, object)
# What a widget's view and its function call with what they have made themselves.
OF_THE_VIEW = {"look", "remember"}


def targets() -> dict[str, Callable[..., Any]]:
    """Return every public function of the faces, input class, and method of what they return."""
    found: dict[str, Callable[..., Any]] = {}
    classes: dict[str, type] = {}
    for face in FACES:
        for name in dir(face) if face is dns else face.__all__:
            one = getattr(face, name)
            if name.startswith("_") or inspect.ismodule(one):
                continue
            if inspect.isclass(one):
                classes[one.__name__] = one
            elif isinstance(one, types.FunctionType) and one.__module__.startswith("eksnet"):
                found[f"{one.__module__.removeprefix('eksnet.')}.{name}"] = one
    for part in PARTS:
        for name, one in inspect.getmembers(part, inspect.isfunction):
            if one.__module__ == part.__name__ and not name.startswith("_"):
                found[f"{part.__name__.removeprefix('eksnet.')}.{name}"] = one
    classes |= {one.__name__: one for one in INPUTS}
    for name, one in classes.items():
        if one in INPUTS:
            found[name] = one
        if not issubclass(one, BaseException):
            found |= {f"{name}.{method}": function for method, function in methods(one)}
    return found


def methods(one: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the methods that a class of the course defines and that take arguments."""
    for owner in one.__mro__:
        if not owner.__module__.startswith("eksnet") or owner is Listing:
            continue
        for name, function in vars(owner).items():
            if name in OF_THE_VIEW and issubclass(one, widgets.Model):
                continue
            function = getattr(function, "__func__", function)
            # A field's default that is a private function of its room is no method: `Cluster.dial`
            # raises what sockets raise, and `loadbalancer.request` is what a learner calls.
            public = inspect.isfunction(function) and not function.__name__.startswith("_")
            if public and len(inspect.signature(function).parameters) > 1:
                yield name, function


TARGETS = targets()
CLASSES = {
    **{one.__name__: one for one in INPUTS},
    **{name: one for face in FACES for name, one in vars(face).items() if inspect.isclass(one)},
}
KNOWN = {
    **CLASSES, "pd": pd, "Callable": Callable, "Iterator": Iterator, "Cluster": Cluster,
    "View": object, "Beginning": Beginning, "Audit": Audit, "Resource": cluster_room.Resource,
    "DryRun": DryRun, "Listing": Listing, "Access": Access, "Stack": Stack,
}  # fmt: skip


def arguments() -> Iterator[tuple[str, str]]:
    """Yield every argument of every target."""
    for name, target in TARGETS.items():
        for parameter in inspect.signature(target).parameters.values():
            if parameter.name not in ("self", "cls"):
                yield name, parameter.name


def hints(target: Callable[..., Any]) -> dict[str, Any]:
    of = target.__init__ if inspect.isclass(target) else target
    module = inspect.getmodule(target)
    return typing.get_type_hints(of, {**vars(module), **KNOWN, **vars(typing)}, KNOWN)


def call(name: str, place: str, value: Any, known: dict[Any, list[Any]]) -> Any:
    """Call a target with a value in one place, and with what a learner would give in the others."""
    target = TARGETS[name]
    signature = inspect.signature(target)
    bound = signature.bind_partial()
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            bound.arguments["self"] = known[KNOWN[name.partition(".")[0]]][0]
        elif parameter.name == "cls":
            bound.arguments["cls"] = KNOWN[name.partition(".")[0]]
        elif parameter.name == place:
            bound.arguments[place] = wrapped(parameter, value)
        elif parameter.default is parameter.empty and parameter.name not in ("spec", "surplus"):
            bound.arguments[parameter.name] = wrapped(parameter, good(name, parameter.name, known))
    bound.apply_defaults()
    return target(*bound.args, **bound.kwargs)


def wrapped(parameter: inspect.Parameter, value: Any) -> Any:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return (value,)
    return {"dnsPolicy": value} if parameter.kind is parameter.VAR_KEYWORD else value


def good(name: str, place: str, known: dict[Any, list[Any]]) -> Any:
    annotation = hints(TARGETS[name])[place]
    if annotation in known:
        return known[annotation][0]
    short = name.rpartition(".")[2]
    said = GOOD_FOR.get((short, place), GOOD.get(place, ...))
    return hostile.plain(annotation, known) if said is ... else said


def check_function(place: tuple[str, str], known: dict[Any, list[Any]], drawn: Any) -> None:
    annotation = hints(TARGETS[place[0]])[place[1]]
    value = drawn.draw(hostile.of(annotation, known))
    # What may be anything may be of a wrong type too.
    allowed = (EksnetError, TypeError) if annotation in NOT_TYPED else EksnetError
    try:
        found = call(*place, value, known)
    except allowed as error:
        assert str(error).strip()
        assert str(error) == printable(str(error))
        return
    shown = repr(found)
    if type(found).__module__.startswith("eksnet"):
        assert shown == printable(shown)


@pytest.fixture(scope="module")
def known(cluster: Cluster) -> dict[Any, list[Any]]:
    return samples(cluster)


@pytest.mark.parametrize("place", list(arguments()), ids="-".join)
@examples(FEW)
@given(drawn=st.data())
def test_a_function(known: Any, place: tuple[str, str], drawn: Any) -> None:
    check_function(place, known, drawn)


@pytest.mark.soak
@pytest.mark.parametrize("place", list(arguments()), ids="-".join)
@examples(MANY)
@given(drawn=st.data())
def test_a_function_for_longer(known: Any, place: tuple[str, str], drawn: Any) -> None:
    check_function(place, known, drawn)


# What is walked.


def test_every_name_of_the_faces_is_an_input_a_result_or_walked() -> None:
    results = {name for names in RESULTS.values() for name in names.split()}
    inputs = {one.__name__ for one in INPUTS}
    functions = {name.rpartition(".")[2] for name in TARGETS}
    for face in FACES:
        for name in face.__all__:
            one = getattr(face, name)
            if inspect.isclass(one):
                assert (name in results) != (name in inputs), f"{name}: an input, or a result?"
            elif isinstance(one, types.FunctionType):
                assert name in functions


def test_what_learners_make_themselves_is_an_input() -> None:
    """Notebooks and README call no class that is told here to be what a function returns."""
    results = {name for names in RESULTS.values() for name in names.split()}
    sources = [path.read_text() for path in [ROOT / "README.md", *ROOT.glob("notebooks/*.ipynb")]]
    called = {name for text in sources for name in re.findall(r"\b([A-Z]\w+)\(", text)}
    assert called & {"Packet"}
    assert not called & results


def test_every_argument_has_hostile_values(known: Any) -> None:
    for name, argument in arguments():
        hostile.of(hints(TARGETS[name])[argument], known)
