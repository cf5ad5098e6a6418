"""Models of the tests' own, which use every kind of control that a later chapter may need."""

import threading
from pathlib import Path

from traitlets import Bool, Enum, Int, Unicode

from eksnet.coredns.memory import Measured
from eksnet.dns.walk import walk
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.widgets import Model, Panel, SearchOrder, Stepper, Table

MEASURED = [Measured("measured here", n, 70 + n / 2000) for n in (0, 10_100, 40_400)]
CHAINS = ("KUBE-SERVICES", "KUBE-SVC-A", "KUBE-SEP-B")


def witness(model):
    """Observe a walk as predicted; for these names another, or none."""
    if model.name == "unseen":
        raise EksnetError("the witness is gone", "a pod witness", "apply it again")
    rows = [(query.name, query.answered) for query in model.predicted]
    return walk(rows[:1]) if model.name == "otherwise" else model.predicted


class Way(Stepper):
    """A packet's way along chains."""

    title = "Packet"
    controls = ("protocol",)
    protocol = Enum(("udp", "tcp"), "udp").tag(label="protocol")
    steps = len(CHAINS)

    def panel(self):
        rows = tuple((chain, f"-p {self.protocol}") for chain in CHAINS)
        table = Table("Chains", Listing(("chain", "rule"), rows, CHAINS), self.step)
        return Panel(f"{self.place} The packet is in {CHAINS[self.step]}.", (table,))


class Everything(Model):
    """A control of each kind, a button that works and one that does not."""

    title = "Everything"
    controls = ("phrase", "region", "number", "flag", "choice")
    phrase = Unicode("a").tag(label="phrase", wide=True)
    region = Unicode("here").tag(label="region", suggestions=("here", "there"))
    number = Int(2, min=0, max=9).tag(label="number")
    flag = Bool(False).tag(label="flag")
    choice = Enum((None, "one"), None).tag(label="choice", words={None: "none of them"}, wide=True)
    actions = {"count": "Count", "fail": "Fail", "refuse": "Refuse"}  # noqa: RUF012
    counted = Int(0)

    def count(self):
        self.counted += 1

    def fail(self):
        raise ValueError("broken inside")

    def refuse(self):
        raise EksnetError("nothing there", "something", "eksnet up")

    def panel(self):
        if not self.phrase:
            raise EksnetError("no text", "some text", "type one")
        return Panel(f"{self.phrase} {self.number} {self.flag} {self.choice} {self.counted}")


class Beside(SearchOrder):
    """A walk that is observed in a thread of its own, as where a kernel has one for its widgets.

    What is observed of a name arrives when something is written into the file of its name.
    """

    def act(self, name):
        threading.Thread(target=super().act, args=(name,)).start()


def answered(model):
    """Observe when there is an answer in the file of the model's name; "no" is one too."""
    answer = Path(model.name).read_text()
    if answer == "no":
        raise EksnetError(f"no answer for {model.name}", "an answer", "ask again")
    return model.predicted


def tried(model):
    """Return what a dry run of a text has given, without one."""
    from eksnet.course.dryrun import DryRun, Tried

    if model.corefile == "refused":
        return DryRun("line 1: no", 1, Listing(("name",), (), ()))
    names = model.names.split()
    seen = ("A", "NOERROR", ("10.0.0.1",), ("errors", "hosts"), "")
    answers = tuple(Tried(one, *seen) for one in names)
    rows = tuple((one.name, one.outcome, one.plugin) for one in answers)
    return DryRun("", 0, Listing(("name", "outcome", "plugin"), rows, answers))


def a_plan(text):
    """Return a plan that the engine's program has once made; of another scheme without a stack."""
    import json
    from dataclasses import replace

    from eksnet.loadbalancer import planned

    file = Path(__file__).parents[1] / "loadbalancer" / "answers" / "two_ingresses.json"
    found = planned.of_answer(json.loads(file.read_text()))
    return replace(found, stacks=()) if "internal" in text else found
