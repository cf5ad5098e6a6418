"""The checkpoints of 05_lab_hosts: an entry in the cluster's DNS."""

from __future__ import annotations

from eksnet.checkpoints.criteria import Criterion, Definition, Prediction, Wait
from eksnet.checkpoints.hosts_block import (
    ADD,
    ADDRESS,
    BACKUP,
    BOTH_NAMES,
    NAME,
    RESTORE,
    SECOND_NAME,
    SET,
    SHOW,
    ZONE,
    assignment,
    backup,
    block_of,
    entry,
    fallthrough,
    restored,
    second_name,
)
from eksnet.checkpoints.hosts_running import RESTART, reloaded, running, running_again
from eksnet.checkpoints.hosts_trials import (
    ANSWER,
    BROKEN,
    CHECK_ANSWER,
    CHECK_BROKEN,
    CHECK_OBSERVED,
    OBSERVED,
    OTHERS,
    TRIALS,
    code_of_others,
    first_to_see,
    ttls,
)

NOTEBOOK = "05_lab_hosts"

# The kubelet brings a ConfigMap within a minute or so, `reload` looks every 22.5 to 37.5 s.
_TAKEN_OVER = Wait("every CoreDNS pod to run the Corefile of the ConfigMap", deadline=150)


_BLOCK = f"""\
hosts = \"\"\"
hosts {{
    {ADDRESS} {NAME}
    fallthrough
}}
\"\"\"
cluster.edit_configmap(
    "coredns", "Corefile", lambda text: coredns.set_plugin(text, hosts), "kube-system"
)
"""
_ROLLOUT = f"""\
before = coredns.running_configurations(cluster)
{RESTART}
cluster.rollout_status("deployment/coredns", "kube-system")
coredns.wait_for_restart(cluster, before)
"""

# The hashes in a form that can be compared by eye.
_HASHES = "print({pod: x[:8] for pod, x in coredns.running_configurations(cluster).items()})"
_SAVED = """\
saved = cluster.saved("coredns", "kube-system")
saved = saved or cluster.saved("coredns", "kube-system", restored=True)
print(saved["data"]["Corefile"] if saved else "there is no backup")"""
_EXTEND = f"""\
before = coredns.running_configurations(cluster)
{assignment(block_of(BOTH_NAMES))}
{SET}
coredns.wait_for_reload(cluster, before)
"""

CHECKPOINTS = (
    Definition(
        id="hosts-01",
        notebook=NOTEBOOK,
        title="The entry",
        criteria=(
            Criterion("hosts-01.backup", "The ConfigMap was backed up before the edit", 1, backup),
            Criterion("hosts-01.entry", f"hosts in {ZONE} resolves {NAME} to {ADDRESS}", 2, entry),
            Criterion(
                "hosts-01.fallthrough",
                "hosts passes on the names that it does not know",
                1,
                fallthrough,
                needs=("hosts-01.entry",),
            ),
            Criterion(
                "hosts-01.running",
                "Every CoreDNS pod runs this Corefile",
                2,
                running,
                needs=("hosts-01.entry", "hosts-01.fallthrough"),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the ConfigMap `coredns` in `kube-system`: its key `Corefile` is what CoreDNS "
            "reads. Back it up first.",
            f"Compare the content of the server block `{ZONE}` with the goal: a block `hosts` "
            f"with the line `{ADDRESS} {NAME}`, and `fallthrough` as its last line. Then compare "
            "the hash that each CoreDNS pod logs with the one from before the edit."
            f"\n\n{SHOW}\n{_HASHES}",
            "Back up, add the block, and wait until no pod is left that read the old text. "
            "`set_plugin` replaces an existing block `hosts`."
            f"\n\n{BACKUP}\n{ADD}\n{_ROLLOUT}",
        ),
        solution=f"{BACKUP}\n{_BLOCK}{_ROLLOUT}",
    ),
    Definition(
        id="hosts-02",
        notebook=NOTEBOOK,
        title="The plugin that gets the query first",
        criteria=(
            Prediction(
                "hosts-02.plugin",
                "The plugin that you predicted",
                1,
                f"which plugin sees a query for {NAME} first, hosts or forward?",
                'prediction = "…"',
                first_to_see,
                takes="answer",
                gather=ANSWER,
                choices=("hosts", "forward"),
            ),
        ),
        hints=(
            "Look at the answer of `nslookup`: an address, or NXDOMAIN?",
            f"Compare the address with what the two plugins know: `{ADDRESS}` is in the block "
            f"`hosts`, and the resolver behind `forward` does not know the name.",
            'Set `prediction` to the plugin that can give this answer, "hosts" or "forward". '
            f"Then look up the name in a pod:\n\n{CHECK_ANSWER}",
        ),
        solution=f'prediction = "hosts"\n{CHECK_ANSWER}\n',
    ),
    Definition(
        id="hosts-03",
        notebook=NOTEBOOK,
        title="A second name, without a restart",
        criteria=(
            Criterion("hosts-03.name", f"{ADDRESS} is {SECOND_NAME} too", 1, second_name),
            Criterion(
                "hosts-03.reload",
                "Every CoreDNS pod reloaded this Corefile without a restart",
                2,
                reloaded,
                needs=("hosts-03.name",),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the line of the block `hosts`, and at the log of each CoreDNS pod.",
            f"Compare the line with `{ADDRESS} {NAME} {SECOND_NAME}`, and the names of the pods "
            "with those from before: the same pods have to log a second hash. That takes up to "
            f"two minutes, and no restart.\n\n{SHOW}\n{_HASHES}",
            f"Save the hashes, add the block with both names, and wait for the reload. When the "
            f"edit says *unchanged*, there will be no reload.\n\n{_EXTEND}",
        ),
        solution=_EXTEND,
    ),
    Definition(
        id="hosts-04",
        notebook=NOTEBOOK,
        title="Without fallthrough",
        criteria=(
            Prediction(
                "hosts-04.code",
                "The code that you predicted",
                1,
                "without fallthrough in the block hosts, which code comes back for a name that "
                "is not in it, NOERROR, NXDOMAIN or SERVFAIL?",
                'prediction = "…"',
                code_of_others,
                takes="broken",
                gather=BROKEN,
                choices=("NOERROR", "NXDOMAIN", "SERVFAIL"),
            ),
        ),
        hints=(
            "Look at what a trial without `fallthrough` answers for a name that is not in its "
            f"block, {OTHERS[0]}:\n\n{BROKEN}\nprint(broken)",
            "Compare the code of that name with your prediction: did `hosts` answer that the "
            "name does not exist, or that it failed?",
            "`without` is a Corefile whose block `hosts` has no line `fallthrough`, and `broken` "
            "holds the answers of a CoreDNS with it. `broken[1].rcode` is the code of the second "
            "name. "
            f"Put it into `prediction`, and check again:\n\n{CHECK_BROKEN}",
        ),
        solution=f'prediction = "SERVFAIL"\n{CHECK_BROKEN}\n',
    ),
    Definition(
        id="hosts-05",
        notebook=NOTEBOOK,
        title="The TTL of an answer",
        criteria=(
            Prediction(
                "hosts-05.ttl",
                "The TTLs that you predicted",
                1,
                f"which TTL does a client see for {NAME}, without the plugin cache, and with "
                "cache 30?",
                f'prediction = {{"{TRIALS[0]}": "…", "{TRIALS[1]}": "…"}}',
                ttls,
                takes="observed",
                gather=OBSERVED,
                units=("s", "sec", "second", "seconds"),
            ),
        ),
        hints=(
            "Look at the TTL in the answers of two trials, one without `cache` and one with it:"
            f"\n\n{OBSERVED}\nprint(uncached, cached, sep='\\n')",
            "Compare the two: which plugin comes first in "
            '`eksnet.data.load_table("coredns_plugin_order")`, `cache` or `hosts`? What does '
            "the number after `cache` mean?",
            "`with_it` is a Corefile whose block `hosts` has the line `fallthrough`, `with_cache` "
            "the same with the line `cache 30`. `print(observed)` shows the TTL of each trial. "
            "Put both numbers into `prediction`, a dict with the keys "
            f"{' and '.join(f'`{key!r}`' for key in TRIALS)}, "
            f"and check again:\n\n{CHECK_OBSERVED}",
        ),
        solution=(f'prediction = {{"{TRIALS[0]}": 3600, "{TRIALS[1]}": 30}}\n{CHECK_OBSERVED}\n'),
    ),
    Definition(
        id="hosts-06",
        notebook=NOTEBOOK,
        title="The original state restored",
        criteria=(
            Criterion("hosts-06.restored", "The ConfigMap equals its backup", 1, restored),
            Criterion(
                "hosts-06.running",
                "Every CoreDNS pod runs it",
                1,
                running_again,
                needs=("hosts-06.restored",),
                wait=_TAKEN_OVER,
            ),
        ),
        hints=(
            "Look at the Corefile in the ConfigMap `coredns`, and at what the pods run.",
            "Compare the Corefile with the one in the backup, and the hashes that the pods log, "
            "which must be the same in all pods and equal to those from before the edit."
            f"\n\n{SHOW}\n{_SAVED}\n{_HASHES}",
            "Restore, and wait until no pod is left that read the old text:\n\n"
            f"{RESTORE}\n{_ROLLOUT}",
        ),
        solution=f"{RESTORE}\n{_ROLLOUT}",
    ),
)
