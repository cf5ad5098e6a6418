"""The widget *search order*: which names a pod's resolver asks, predicted and observed."""

from __future__ import annotations

from typing import Any, ClassVar

from traitlets import Enum, Tuple, Unicode

from eksnet.dns import (
    POLICIES,
    PROFILES,
    ResolvConf,
    Walk,
    first_difference,
    pod_resolv_conf,
    search_walk,
)
from eksnet.dns.resolvconf import KUBE_DNS
from eksnet.errors import EksnetError
from eksnet.panel import Panel, Table, Text
from eksnet.widgets.ladder import ladder
from eksnet.widgets.model import Model, word

REGIONS = ("ap-northeast-2", "us-east-1", "us-west-2", "eu-central-1")
OBSERVES = ("name", "namespace", "ndots")
_OF_THE_POLICY = {None: "as the policy says"}


class SearchOrder(Model):
    """The walk for one name from one pod.

    Attributes:
        name: The name that the program gives.
        namespace: The pod's namespace.
        region: The node's region; empty for a node that is not on EC2.
        policy: The pod's dnsPolicy; with ClusterFirstWithHostNet the pod has hostNetwork, with
            None it brings the usual nameserver.
        ndots: The option in the pod's dnsConfig; None for none.
        profile: The resolver: glibc, musl, go or busybox.
        exists: The full names that have an address, with blanks between.
        observes: The settings that the witness heeds. With another value than at the start for the
            region, the policy or the resolver nothing is observed, unless it is named here.
    """

    title: ClassVar[str] = "Search order"
    controls: ClassVar[tuple[str, ...]] = (
        "name", "namespace", "region", "policy", "ndots", "profile", "exists",
    )  # fmt: skip

    name = Unicode("my-service").tag(label="name")
    namespace = Unicode("default").tag(label="namespace")
    region = Unicode(REGIONS[0]).tag(label="region", suggestions=REGIONS)
    policy = Enum(POLICIES, POLICIES[0]).tag(label="dnsPolicy")
    ndots = Enum((None, *range(16)), None).tag(label="ndots", words=_OF_THE_POLICY)
    profile = Enum(tuple(PROFILES), "glibc").tag(label="resolver")
    exists = Unicode().tag(label="names with an address", wide=True)
    observes: Any = Tuple(OBSERVES)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._start = {name: getattr(self, name) for name in ("region", "policy", "profile")}

    @property
    def conf(self) -> ResolvConf:
        """The pod's resolv.conf."""
        namespace, region = _one_word("namespace", self.namespace), self.region.strip()
        options = [] if self.ndots is None else [{"name": "ndots", "value": str(self.ndots)}]
        # With the policy None a pod has to bring a nameserver; it may be the usual one.
        nameservers = [KUBE_DNS] if self.policy == "None" else []
        return pod_resolv_conf(
            namespace,
            region=region or None,
            policy=self.policy,
            host_network=self.policy == "ClusterFirstWithHostNet",
            dns_config={"nameservers": nameservers, "options": options},
        )

    @property
    def predicted(self) -> Walk:
        """The walk as the resolver's rules have it."""
        name = _one_word("name", self.name)
        return search_walk(name, self.conf, self.exists.split(), self.profile)

    def check_observable(self) -> None:
        """Look whether the witness heeds the settings that are not as at the start.

        Raises:
            EksnetError: It does not: it would observe something else.
        """
        for name in self._start.keys() - set(self.observes):
            if getattr(self, name) != self._start[name]:
                raise self._unobserved(name)

    @property
    def waiting(self) -> str:
        """What is looked up."""
        return f"Looking up {self.name} and reading the witness's log …"

    def _unobserved(self, name: str) -> EksnetError:
        trait = self.traits()[name]
        label, start = trait.metadata["label"], word(trait, self._start[name])
        return EksnetError(
            f"with {label} {word(trait, getattr(self, name))} nothing can be observed here, only "
            f"predicted",
            f"{label} {start}, the value of the pod that looks up the name",
            f"choose {start} again, then Observe",
        )

    def panel(self) -> Panel:
        """Return the walk: the outcome in a sentence, the pod's file, the queries in order."""
        walks = {"Predicted": self.predicted} | ({"Observed": self.seen} if self.seen else {})
        tables = (Table(f"{title}: {_cost(walk)}", walk) for title, walk in walks.items())
        # The newest word of the two: what was observed, where it was.
        title, walk = [*walks.items()][-1]
        drawn = ladder(walk, title=f"{title}, query by query")
        file = Text("The pod's /etc/resolv.conf", repr(self.conf))
        sentence = f"{_outcome(self.predicted)} {self._verdict()}".rstrip()
        return Panel(sentence, (*tables, drawn, file))

    def _verdict(self) -> str:
        if self.seen is None:
            return ""
        place = first_difference(self.predicted, self.seen)
        if place:
            return f"The observation differs from row {place}."
        return "The observation matches the prediction."


def _one_word(label: str, text: str) -> str:
    """Return a text without blanks around it.

    Raises:
        EksnetError: It is empty, or there are blanks in it.
    """
    if len(text.split()) != 1:
        raise EksnetError(f"the {label} is {text!r}", "one word", f"fill in the field {label!r}")
    return text.strip()


def _outcome(walk: Walk) -> str:
    answered = ", ".join(query.name for query in walk if query.answered)
    return f"{_cost(walk)}; answered: {answered or 'none'}."


def _cost(walk: Walk) -> str:
    names = "1 name" if len(walk) == 1 else f"{len(walk)} names"
    return f"{names}, {walk.cost}"
