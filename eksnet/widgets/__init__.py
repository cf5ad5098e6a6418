"""A view, pictures and text twins for the models of the chapters; nothing here knows a cluster.

A new widget is a subclass of `Model`, or of `Stepper` where something is walked through: traits for
its settings, and `panel()` for what follows from them. `show(model)` is its view. `ladder`,
`packet_path`, `curve`, `reconciling` and `balancer_tree` are pictures by themselves. How a tested
notebook shows all of these stands in docs/architecture.md, under Widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eksnet.coredns.memory import Measured
from eksnet.dns import Walk
from eksnet.kubeproxy import Node, Ruleset, Settings, predict
from eksnet.kubeproxy.settings import MODES
from eksnet.loadbalancer.balancer_tree import balancer_tree
from eksnet.loadbalancer.planned import Plan
from eksnet.panel import Panel, Table, Text
from eksnet.picture import Picture
from eksnet.widgets.annotation_choices import START as CHOSEN
from eksnet.widgets.annotation_choices import AnnotationChoices
from eksnet.widgets.coredns_memory import CorednsMemory
from eksnet.widgets.coredns_replicas import CorednsReplicas
from eksnet.widgets.corefile import START, CorefileEditor
from eksnet.widgets.curve import curve
from eksnet.widgets.ladder import ladder
from eksnet.widgets.model import Model, Stepper
from eksnet.widgets.packet_path import packet_path
from eksnet.widgets.packet_stepper import A_POD, PacketStepper, scene
from eksnet.widgets.reconciling import reconciling
from eksnet.widgets.search_order import OBSERVES, SearchOrder

if TYPE_CHECKING:
    from eksnet.widgets.view import View

__all__ = [
    "AnnotationChoices",
    "CorednsMemory",
    "CorednsReplicas",
    "CorefileEditor",
    "Model",
    "PacketStepper",
    "Panel",
    "Picture",
    "SearchOrder",
    "Stepper",
    "Table",
    "Text",
    "annotation_choices",
    "balancer_tree",
    "coredns_memory",
    "coredns_replicas",
    "corefile",
    "curve",
    "ladder",
    "packet_path",
    "packet_stepper",
    "reconciling",
    "search_order",
    "show",
]


def show(model: Model) -> View:
    """Return the view of a model: the last expression of a cell shows it.

    The model and its text need no ipywidgets; it is loaded here.

    Args:
        model: The model.
    """
    from eksnet.widgets.view import View

    return View(model)


def search_order(
    name: str = "my-service",
    *,
    namespace: str = "default",
    region: str = "ap-northeast-2",
    policy: str = "ClusterFirst",
    ndots: int | None = None,
    profile: str = "glibc",
    exists: Collection[str] = (),
    observed: Walk | Callable[[SearchOrder], Walk] | None = None,
    observes: Collection[str] = OBSERVES,
) -> View:
    """Return the widget *search order*: a pod's queries for one name, predicted and observed.

    Args:
        name: The name as the program gives it; a final dot makes it absolute.
        namespace: The pod's namespace.
        region: The node's region; empty for a node that is not on EC2.
        policy: The pod's dnsPolicy: ClusterFirst, ClusterFirstWithHostNet (and hostNetwork),
            Default, or None with the usual nameserver.
        ndots: The option in the pod's dnsConfig; None leaves it to the policy.
        profile: The resolver: glibc, musl, go or busybox.
        exists: The full names that have an address.
        observed: The walk that was observed with these settings; or a function that observes one
            with the settings of the model that it is given, behind a button *Observe*:
            `lambda m: coredns.look_up(cluster, m.name, m.namespace, ndots=m.ndots).observed`. What
            it raises as EksnetError the reader sees in words.
        observes: The settings that this function heeds. With another region, policy or resolver
            than those given here the button says that nothing can be observed, instead of
            observing something else; a function that heeds `m.profile` names "profile" too.
    """
    model = SearchOrder(
        name=name,
        namespace=namespace,
        region=region,
        policy=policy,
        ndots=ndots,
        profile=profile,
        exists=" ".join(sorted(exists)),
    )
    if isinstance(observed, Walk):
        model.remember(observed)
    else:
        model.witness = observed
        model.observes = tuple(observes)
    return show(model)


def corefile(
    text: str = START,
    *,
    names: Collection[str] = (),
    release: str = "",
    answers: Callable[[CorefileEditor], Any] | None = None,
) -> View:
    """Return the widget *Corefile*: a text that is checked while it is written.

    Args:
        text: The Corefile to begin with.
        names: What a dry run asks: NAME or NAME/TYPE.
        release: The release of CoreDNS for which it is checked; empty for the engine's.
        answers: Tries the model that it is given, behind a button *Dry run*:
            `lambda m: eksnet.dry_run(m.corefile, *m.names.split())`. What it raises as EksnetError
            the reader sees in words.
    """
    model = CorefileEditor(corefile=text, names=" ".join(names), witness=answers)
    model.release = release or model.release
    return show(model)


def packet_stepper(
    services: Sequence[Mapping[str, Any]],
    slices: Sequence[Mapping[str, Any]],
    node: Node,
    *,
    rules: Sequence[Ruleset] = (),
    clients: Mapping[str, str] | None = None,
) -> View:
    """Return the widget *packet stepper*: a packet's way through a node's rules, step by step.

    Args:
        services: The Services that a packet may be sent to, as Kubernetes has them.
        slices: Their EndpointSlices.
        node: The node that the packet passes.
        rules: The node's rules as they were read, one set for each mode; empty predicts those of
            both modes with upstream's settings.
        clients: Addresses that send, by what they are called; None stands for a pod that is
            nobody's. The node, an endpoint and a computer outside can always be chosen.

    Raises:
        EksnetError: No Service has an address.
    """
    known = rules or [predict(services, slices, node, Settings(mode)) for mode in MODES]
    senders = A_POD if clients is None else clients
    return show(PacketStepper(scene(services, slices, node, known, senders)))


def coredns_memory(
    pods: int = 15_000,
    services: int = 820,
    *,
    autopath: bool = False,
    measured: Iterable[Measured] = (),
) -> View:
    """Return the widget *CoreDNS memory*: formula, published points, and what was measured.

    Args:
        pods: The pods to begin with.
        services: The Services to begin with.
        autopath: Whether the plugin autopath is on.
        measured: What was measured on a cluster, as `coredns.measure_memory` gives it to compare.
    """
    return show(
        CorednsMemory(pods=pods, services=services, autopath=autopath, measured=tuple(measured))
    )


def coredns_replicas(
    nodes: int = 40, cores: int = 64, *, minimum: int = 2, maximum: int | None = None
) -> View:
    """Return the widget *CoreDNS replicas*: the replicas that two autoscalers want.

    Args:
        nodes: The nodes to begin with.
        cores: The processor cores of each.
        minimum: `minReplicas`.
        maximum: `maxReplicas`; None for none.
    """
    bounds = {"minimum": minimum, "maximum": maximum or 0}
    return show(CorednsReplicas(nodes=nodes, cores=cores, **bounds))


def annotation_choices(
    first: str = CHOSEN,
    second: str = "",
    *,
    kind: str = "Ingress",
    release: str = "",
    namespace: str = "app-ns",
    name: str = "web",
    plan: Callable[[str], Plan] | None = None,
) -> View:
    """Return the widget *annotation choices*: annotations that are checked as they are chosen.

    Args:
        first: The annotations to begin with: KEY: VALUE in each line.
        second: Others, to be compared with them.
        kind: Ingress or Service.
        release: The release of the controller for which they are checked; empty for the engine's.
        namespace: Where the object is.
        name: The name of the object, and of the Service behind an Ingress.
        plan: Returns the plan for a manifest, behind a button *Plan*:
            `lambda text: loadbalancer.plan(cluster, text)`. What it raises as EksnetError the
            reader sees in words. Without it the widget says that it needs a cluster for this.
    """
    model = AnnotationChoices(kind=kind, first=first, second=second, namespace=namespace, name=name)
    model.release = release or model.release
    if plan is not None:
        model.witness = lambda asked: tuple(map(plan, asked.manifests))
    return show(model)
