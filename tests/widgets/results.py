"""What notebooks show beside widgets: results, a diff, tables, hints, and errors."""

from __future__ import annotations

import eksnet
from eksnet.checkpoints import definitions
from eksnet.checkpoints.criteria import Observation, State, cannot_check, failed, passed, then
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.checkpoints.results import Outcome, Result
from eksnet.checkpoints.standing import Progress, standings
from eksnet.cluster.edits import Edit
from eksnet.diagnosis import CANNOT_TELL, FAILS, OK, Check, Diagnosis
from eksnet.listing import Listing

_STEP = then("put it in, and check again", "cluster.edit_configmap('coredns', 'Corefile', put_in)")
good = Result("hosts-06", "The original state restored", (
    Outcome("a", "The ConfigMap equals its backup", 1, passed("it is the same text")),
    Outcome("b", "Every CoreDNS pod runs it", 1, passed("2 of 2 pods log the hash")),
))  # fmt: skip
bad = Result("hosts-01", "The entry", (
    Outcome("a", "The ConfigMap was backed up before the edit", 1, passed("a backup was made")),
    Outcome("b", "hosts knows myapp.local", 2, failed("no block `hosts`", "10.43.0.1", _STEP)),
    Outcome("c", "As you predicted", 1, Observation(State.FAIL, "hosts", predicted="forward")),
    Outcome("d", "Every pod runs it", 1, Observation(State.NOT_STARTED, "this comes after")),
    Outcome("e", "Nobody could look", 1, cannot_check("no answer", "one", "eksnet up")),
))  # fmt: skip
edit = Edit(
    "kube-system", "coredns", "Corefile",
    ".:53 {\n    errors\n    forward . /etc/resolv.conf\n    cache 30\n}\n",
    ".:53 {\n    errors\n    hosts {\n        10.43.0.1 myapp.local\n        fallthrough\n    }\n"
    "    forward . /etc/resolv.conf\n    cache 5\n}\n",
)  # fmt: skip
diagnosis = Diagnosis((
    Check(OK, "2 of 2 are ready", check="CoreDNS pods"),
    Check(FAILS, "no endpoints", "two", "look at its selector", check="Service kube-dns"),
    Check(CANNOT_TELL, "no answer came", check="UDP"),
))  # fmt: skip
progress = Progress(standings(definitions.of_notebook("05"), [
    Attempt("hosts-01", "", Binding(), {"hosts-01.backup": State.FAIL}),
    Attempt("hosts-02", "", Binding(), {"hosts-02.plugin": State.PASS}),
    Attempt("hosts-05", "", Binding(), {"hosts-05.ttl": State.CANNOT_CHECK}),
]))  # fmt: skip
_LETTERS = tuple(f"10.0.129.{number}" for number in range(40))
table = Listing(("address", "n"), tuple((one, str(len(one))) for one in _LETTERS), _LETTERS)
frame = eksnet.data.load_table("dns_symptoms")
hint = eksnet.checkpoint("hosts-01").hint(3)
SHOWN = ("good", "bad", "edit", "diagnosis", "progress", "table", "frame", "hint")
