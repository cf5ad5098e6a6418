"""The checkpoints of 02c_corefile: who answers, a Corefile that is sound and runs, a wrong name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.coredns.configuration import running
from eksnet.coredns.corefile import CorefileError, read_corefile
from eksnet.coredns.hosts import hosts_of
from eksnet.coredns.installed import log_of
from eksnet.coredns.linting import lint

if TYPE_CHECKING:
    from eksnet.checkpoints.trials import Trial
    from eksnet.cluster import Cluster

NOTEBOOK = "02c_corefile"
PLACE, TRIAL = "corefile-lab", "trial"
ASKED = (
    "api.shop.example", "db.shop.example", "old.example",
    "kubernetes.default.svc.cluster.local", "www.example.com",
)  # fmt: skip
LEGACY = "api.old.example"
_NAME, _ADDRESS = "myapp.local", "10.43.0.1"

_START = f"""\
cluster.apply("{{apiVersion: v1, kind: Namespace, metadata: {{name: {PLACE}}}}}")
corefile = '''
.:53 {{
    ready
    reload 2s 1s
    hosts {{
        {_ADDRESS} {_NAME}
    }}
    forward . /etc/resolv.conf
    loop
}}
'''
coredns.start_server(cluster, "{TRIAL}", corefile, "{PLACE}")"""
_REPAIR = f"""\
cluster.edit_configmap(
    "{TRIAL}", "Corefile",
    lambda text: coredns.extend_plugin(text, "hosts {{\\n    fallthrough\\n}}"),
    "{PLACE}",
)"""
_ORDER_COREFILE = """\
.:53 {
    forward . /etc/resolv.conf
    kubernetes cluster.local
    hosts {
        10.0.0.3 kubernetes.default.svc.cluster.local
        10.0.0.2 api.shop.example
        fallthrough
    }
    template IN A shop.example {
        answer "{{ .Name }} 60 IN A 10.0.0.1"
    }
    rewrite name old.example api.shop.example
    loop
}
"""
_NAMED_COREFILE = r"""
.:53 {
    rewrite name regex (.*)\.old\.example {1}.new.example
    template IN A new.example {
        answer "{{ .Name }} 60 IN A 10.0.0.1"
    }
}
""".lstrip()
_ORDER = f"corefile = r'''\n{_ORDER_COREFILE}'''"
_NAMED = f"corefile = r'''\n{_NAMED_COREFILE}'''"


def plugins(cluster: Cluster, trial: Trial) -> Any:
    """The plugin that answers for each name in a dry run of the lesson's Corefile."""
    _look(cluster)
    found = trial.answers(_ORDER_COREFILE, *ASKED)
    return found if isinstance(found, Observation) else {one.name: one.plugin for one in found}


def owner(cluster: Cluster, trial: Trial) -> Any:
    """The name that the answer's record has in a dry run of the lesson's Corefile."""
    _look(cluster)
    found = trial.answers(_NAMED_COREFILE, LEGACY)
    return found if isinstance(found, Observation) else found[0].owner


def _look(cluster: Cluster) -> str | None:
    """Return the trial's Corefile; None where there is none."""
    found = cluster.find(f"configmap/{TRIAL}", namespace=PLACE)
    return None if found is None else str((found.get("data") or {}).get("Corefile", ""))


def answers(cluster: Cluster) -> Observation:
    """Whether the trial has the entry, and passes on what it does not know."""
    text = _look(cluster)
    expected = f"hosts with {_ADDRESS} {_NAME}, and fallthrough"
    if text is None:
        return not_started(f"there is no ConfigMap {TRIAL} in {PLACE}", expected, _START)
    try:
        hosts = hosts_of(read_corefile(text), ".:53")
    except CorefileError as error:
        return failed(f"CoreDNS refuses the Corefile: {error.seen}", expected, _REPAIR)
    if hosts is None or _ADDRESS not in hosts.addresses(_NAME):
        return failed(f"hosts does not have {_NAME}", expected, _START)
    if ("fallthrough",) not in hosts.lines:
        return failed("hosts has no fallthrough", expected, _REPAIR)
    return passed(f"hosts has {_NAME} and fallthrough")


def sound(cluster: Cluster) -> Observation:
    """Whether lint finds nothing in the trial's Corefile."""
    findings = lint(_look(cluster) or "")
    if findings:
        first = findings[0]
        step = f'coredns.lint(cluster.get("configmap/{TRIAL}", namespace="{PLACE}")'
        return failed(first.seen, "nothing that lint finds", f'{step}["data"]["Corefile"])')
    return passed("lint finds nothing")


def runs(cluster: Cluster) -> Observation:
    """Whether the trial runs the Corefile of its ConfigMap, by the hash in its log."""
    found = running(_look(cluster) or "", [log_of(cluster, TRIAL, PLACE)])
    expected = "the hash of the ConfigMap's Corefile in its log"
    step = f'coredns.wait_for_configuration(cluster, "{TRIAL}", "{PLACE}")'
    if found.current < found.total:
        return not_yet(found.refused or "its log has another hash, or none", expected, step)
    return passed("its log has the hash of the ConfigMap's Corefile")


CHECKPOINTS = (
    Definition(
        id="corefile-01",
        notebook=NOTEBOOK,
        title="Who answers",
        criteria=(
            Prediction(
                "corefile-01.plugins",
                "The plugin that answers for each of five names",
                3,
                "a server block has rewrite, template, hosts, kubernetes and forward; which of "
                "them answers for each name?",
                "prediction = {" + ", ".join(f'"{name}": ""' for name in ASKED) + "}",
                plugins,
                takes="corefile",
                tries=True,
                gather=_ORDER,
                column=1,
            ),
        ),
        hints=(
            "Look at the table of the order: `coredns.plugin_order()`.",
            "Compare the places of template, hosts and kubernetes in it with the names that each "
            "of them knows. The order of the lines in the Corefile does not count.",
            "A name that rewrite changes is the new name to all plugins after it. Put the first "
            "plugin that knows the name into `prediction = {…}`, then check again.",
        ),
        solution=f"""\
prediction = {{
    "api.shop.example": "template",
    "db.shop.example": "template",
    "old.example": "template",
    "kubernetes.default.svc.cluster.local": "hosts",
    "www.example.com": "forward",
}}
{_ORDER}
eksnet.checkpoint("corefile-01").check(prediction, corefile)
""",
    ),
    Definition(
        id="corefile-02",
        notebook=NOTEBOOK,
        title="A sound Corefile that runs",
        criteria=(
            Criterion(
                "corefile-02.entry", f"The trial knows {_NAME}, and passes the rest on", 1, answers
            ),
            Criterion(
                "corefile-02.sound",
                "Lint finds nothing in its Corefile",
                1,
                sound,
                needs=("corefile-02.entry",),
            ),
            Criterion(
                "corefile-02.running",
                "The trial runs this Corefile",
                2,
                runs,
                needs=("corefile-02.entry",),
                wait=Wait("the trial to run its Corefile", deadline=120),
            ),
        ),
        hints=(
            f"Look at the ConfigMap `{TRIAL}` in `{PLACE}`, and at what lint says of it.",
            "Compare the block `hosts` with that of the course document: what does it do with a "
            "name that it does not know?",
            f"Add the missing line to the block, and wait until CoreDNS runs it:\n{_REPAIR}",
        ),
        solution=f"""\
{_START}
{_REPAIR}
coredns.wait_for_configuration(cluster, "{TRIAL}", "{PLACE}")
""",
    ),
    Definition(
        id="corefile-03",
        notebook=NOTEBOOK,
        title="The name of the answer",
        criteria=(
            Prediction(
                "corefile-03.owner",
                f"The name of the record that answers {LEGACY}",
                2,
                f"rewrite turns {LEGACY} into api.new.example; which name has the record in the "
                "answer?",
                'prediction = ""',
                owner,
                takes="corefile",
                tries=True,
                gather=_NAMED,
            ),
        ),
        hints=(
            "Look at the rule: does it say anything about the answer?",
            "Compare it with a rule `name exact`, which gives the name of the question back.",
            "`eksnet corefile lint FILE` names the rule and says what is missing. Put the name "
            "into `prediction`, and check again.",
        ),
        solution=f"""\
prediction = "api.new.example"
{_NAMED}
eksnet.checkpoint("corefile-03").check(prediction, corefile)
""",
    ),
)
