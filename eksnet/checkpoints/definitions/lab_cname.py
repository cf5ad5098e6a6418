"""The checkpoints of 06_lab_cname: a name in CoreDNS that leads to an internal load balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet import loadbalancer
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
    then,
)
from eksnet.checkpoints.hosts_block import BACKUP, RESTORE, ZONE, corefile_of
from eksnet.checkpoints.hosts_running import runs_configmap
from eksnet.coredns.corefile import CorefileError, read_corefile
from eksnet.coredns.editing import edit_command
from eksnet.coredns.hosts import bare
from eksnet.coredns.installed import CONFIGMAP, SYSTEM
from eksnet.coredns.rewriting import NameRule, name_rule

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "06_lab_cname"
NAMESPACE, INGRESS = "app-ns", "web"
NAME, HOST, GROUP = "working.dot.com", "shop.dot.com", "front"
_GROUP_NAME = "alb.ingress.kubernetes.io/group.name"

_NO_INGRESS = f"there is no Ingress {INGRESS} in {NAMESPACE}"
_EVENTS = f'cluster.events("ingress/{INGRESS}", namespace="{NAMESPACE}")'
_TARGET = f"""\
target = loadbalancer.hostname(cluster.get("ingress/{INGRESS}", namespace="{NAMESPACE}"))"""
_RULE = f'rule = "rewrite stop {{\\n    name exact {NAME} " + target + "\\n}}"'
_SET = edit_command("coredns.set_plugin(text, rule)")
_REMOVE = edit_command('coredns.remove_plugin(text, "rewrite")')
_REWRITE = f"{_TARGET}\n{_RULE}\n{_SET}"
_RELOAD = f"""\
before = coredns.running_configurations(cluster)
{_REWRITE}
coredns.wait_for_reload(cluster, before)
"""
_RULES = f'loadbalancer.rules(cluster, "{INGRESS}", "{NAMESPACE}")'
_ADD_HOST = f"""\
rules = cluster.get("ingress/{INGRESS}", namespace="{NAMESPACE}")["spec"]["rules"]
both = [{{**rules[0], "host": host}} for host in ("{HOST}", "{NAME}")]
cluster.patch("ingress", "{INGRESS}", {{"spec": {{"rules": both}}}}, "{NAMESPACE}")
"""
_SHOW = 'print(cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"])'
_OBSERVED = f"""\
ask = "wget -qS -O /dev/null --header Host:{{}} http://{NAME}/"
hosts = ("{HOST}", "{NAME}")
said = [cluster.exec("client", ask.format(host), "{NAMESPACE}").stderr for host in hosts]
observed = {{host: int(text.split("HTTP/1.1 ")[1][:3]) for host, text in zip(hosts, said)}}"""

# The kubelet brings a ConfigMap within a minute or so, `reload` looks every 22.5 to 37.5 s.
_TAKEN_OVER = Wait("every CoreDNS pod to run the Corefile of the ConfigMap", deadline=150)
_CONTROLLER = Wait("the controller", deadline=60)


def _ingress(cluster: Cluster) -> Resource | None:
    return cluster.find(f"ingress/{INGRESS}", namespace=NAMESPACE)


def backup(cluster: Cluster) -> Observation:
    """Whether there is a backup from before the edit, not yet restored."""
    edited = NAME in corefile_of(cluster)
    expected = "a backup of the ConfigMap coredns, made before the edit"
    waiting = cluster.saved(CONFIGMAP, SYSTEM)
    if waiting is None:
        seen = "there is no backup that is not restored"
        if edited:
            again = "remove the rule, back up, and add the rule again"
            step = then(again, _REMOVE, BACKUP, *_REWRITE.splitlines())
            return failed(f"{seen}, and the Corefile has {NAME}", expected, step)
        return not_started(seen, expected, BACKUP)
    if NAME in str((waiting.get("data") or {}).get("Corefile")):
        again = "restore that backup, and make a new one without the rule"
        step = then(again, RESTORE, _REMOVE, BACKUP, *_REWRITE.splitlines())
        return failed(f"the Corefile in the backup already has {NAME}", expected, step)
    return passed("there is a backup from before the edit, not yet restored")


def _rules_of(corefile: str) -> list[NameRule]:
    """Return the rules `name` of the server block for every name, in their order."""
    block = read_corefile(corefile).server_block(ZONE)
    written = [[word for line in one.lines for word in line][1:] for one in block.uses("rewrite")]
    return [rule for words in written if (rule := name_rule(words))]


def leads_there(cluster: Cluster) -> Observation:
    """Whether the name is rewritten to the present load balancer, by a rule for it alone."""
    expected = f"name exact {NAME} and the DNS name in the status of the Ingress {INGRESS}"
    ingress = _ingress(cluster)
    if ingress is None:
        return not_started(_NO_INGRESS, expected, "apply it")
    target = loadbalancer.hostname(ingress)
    if not target:
        return not_yet("its status has no DNS name", expected, f"read the events: {_EVENTS}")
    correct = then("write the rule with the present name", *_REWRITE.splitlines())
    try:
        rules = _rules_of(corefile_of(cluster))
    except CorefileError as error:
        return failed(error.seen, error.expected, f"{_SHOW} shows the text")
    found = next((one for one in rules if NAME in one.asked.replace("\\", "")), None)
    if found is None:
        return not_started(f"no rule of rewrite has the name {NAME}", expected, correct)
    if found.match != "exact" or bare(found.asked) != NAME:
        return failed(f"the rule is {found.match} {bare(found.asked)}", expected, correct)
    if bare(found.renamed) != target.lower():
        return failed(
            "the rule leads to another name than the load balancer has now", expected, correct
        )
    if any(one.kind != "auto" for one in found.answers):
        return failed("the rule has a line answer, which it does not need", expected, correct)
    return passed(f"{NAME} leads to the load balancer of the Ingress {INGRESS}")


def running(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod logs the hash of the ConfigMap's Corefile as its last one."""
    return runs_configmap(cluster, "wait for the reload, up to two minutes")


def _hosts_of(ingress: Resource) -> list[str]:
    return sorted(one.get("host", "") for one in ingress["spec"].get("rules") or ())


def statuses(cluster: Cluster, observed: Any) -> Any:
    """The status for each Host header, while the Ingress has a rule for one host."""
    ingress = _ingress(cluster)
    expected = f"the Ingress {INGRESS} with a rule for {HOST} alone"
    if ingress is None:
        return not_started(_NO_INGRESS, expected, "")
    if _hosts_of(ingress) != [HOST]:
        seen = ", ".join(_hosts_of(ingress)) or "none"
        return not_started(f"it has rules for these hosts: {seen}", expected, "")
    if not isinstance(observed, dict) or set(observed) != {HOST, NAME}:
        return not_started("nothing was observed yet", f"a status for {HOST} and {NAME}", "")
    return {host: observed[host] for host in (HOST, NAME)}


def host(cluster: Cluster) -> Observation:
    """Whether the Ingress has a rule for the new name, and kept the one for the old name."""
    expected = f"rules for {HOST} and {NAME}"
    ingress = _ingress(cluster)
    if ingress is None:
        return not_started(_NO_INGRESS, expected, "apply it")
    found = _hosts_of(ingress)
    if found == [HOST]:
        return not_started(f"the only host is {HOST}", expected, f"add a rule for {NAME}")
    if missing := {HOST, NAME} - set(found):
        return failed(f"there is no rule for {' and '.join(sorted(missing))}", expected, "add it")
    return passed(f"it has rules for {HOST} and {NAME}")


def host_rule(cluster: Cluster) -> Observation:
    """Whether the load balancer forwards requests for the new name."""
    expected = f"a rule of the listener with the host header {NAME}"
    rules = loadbalancer.rules(cluster, INGRESS, NAMESPACE)
    conditions = [one.conditions.split() for one in rules if one.action.startswith("forward")]
    if not any("host-header" in words and NAME in words for words in conditions):
        return not_yet("no rule of the listener has it", expected, f"read the events: {_EVENTS}")
    return passed(f"a rule of the listener has the host header {NAME}")


def grouped(cluster: Cluster) -> Observation:
    """Whether the Ingress was moved into the group, and so to another load balancer."""
    expected = f"the Ingress {INGRESS} in the group {GROUP}"
    ingress = _ingress(cluster)
    if ingress is None:
        return not_started(_NO_INGRESS, expected, "apply it")
    found = (ingress["metadata"].get("annotations") or {}).get(_GROUP_NAME)
    if found is None:
        return not_started("it is in no group", expected, f"set {_GROUP_NAME}: {GROUP}")
    if found != GROUP:
        return failed(f"its group is {found}", expected, f"set {_GROUP_NAME}: {GROUP}")
    return passed(f"it is in the group {GROUP}")


CHECKPOINTS = (
    Definition(
        id="cname-01",
        notebook=NOTEBOOK,
        title="The name leads to the load balancer",
        criteria=(
            Criterion("cname-01.backup", "The ConfigMap was backed up before the edit", 1, backup),
            Criterion(
                "cname-01.rule",
                f"{NAME} is rewritten to the name of the load balancer",
                2,
                leads_there,
            ),
            Criterion(
                "cname-01.running",
                "Every CoreDNS pod runs this Corefile",
                1,
                running,
                needs=("cname-01.rule",),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the ConfigMap `coredns` in `kube-system`, and at the status of the Ingress "
            f"`{INGRESS}`.",
            "Compare the last word of the rule with the DNS name in the status of the Ingress."
            f"\n\n{_SHOW}",
            f"Back up, write the rule, and wait for the reload.\n\n{BACKUP}\n{_RELOAD}",
        ),
        solution=f"{BACKUP}\n{_RELOAD}",
    ),
    Definition(
        id="cname-02",
        notebook=NOTEBOOK,
        title="The Host header",
        criteria=(
            Prediction(
                "cname-02.statuses",
                "The statuses that you predicted",
                1,
                f"The only rule of the load balancer is for the host {HOST}. Which status does a "
                f"client get through {NAME} for each Host header?",
                f'prediction = {{"{HOST}": ..., "{NAME}": ...}}',
                statuses,
                takes="observed",
                gather=_OBSERVED,
            ),
        ),
        hints=(
            "Look at the rules of the listener: which host is in the condition?",
            "Compare that host with the Host header of each request. DNS changes an address, "
            "never a header.",
            f"`{_RULES}`",
        ),
        solution=f'prediction = {{"{HOST}": 200, "{NAME}": 404}}\n',
    ),
    Definition(
        id="cname-03",
        notebook=NOTEBOOK,
        title="A rule for the new name",
        criteria=(
            Criterion("cname-03.host", "The Ingress has a rule for both names", 1, host),
            Criterion(
                "cname-03.rule",
                "The load balancer forwards requests for the new name",
                1,
                host_rule,
                needs=("cname-03.host",),
                wait=_CONTROLLER,
            ),
        ),
        hints=(
            f"Look at `spec.rules` of the Ingress `{INGRESS}`.",
            "Compare the hosts there with the names that clients use. Each host has a rule of its "
            "own.",
            f"Add a second rule with the same path and the host {NAME}:\n\n{_ADD_HOST}\n{_RULES}",
        ),
        solution=_ADD_HOST,
    ),
    Definition(
        id="cname-04",
        notebook=NOTEBOOK,
        title="Another load balancer",
        criteria=(
            Criterion("cname-04.group", f"The Ingress is in the group {GROUP}", 1, grouped),
            Criterion(
                "cname-04.rule",
                f"{NAME} is rewritten to the name of its present load balancer",
                2,
                leads_there,
                needs=("cname-04.group",),
                wait=_CONTROLLER,
            ),
            Criterion(
                "cname-04.running",
                "Every CoreDNS pod runs this Corefile",
                1,
                running,
                needs=("cname-04.rule",),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            f"Look at the DNS name in the status of the Ingress `{INGRESS}`, and at the rule.",
            f"Compare both: does the load balancer of the rule still exist?\n\n{_SHOW}",
            f"Write the rule with the new name, and wait for the reload:\n\n{_RELOAD}",
        ),
        solution=f"""\
# After the cell that applies the Ingress in the group:
{_RELOAD}""",
    ),
)
