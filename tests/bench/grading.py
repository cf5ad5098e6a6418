"""How long grading a class takes, by `json.load` of the same evidence, and what it keeps in memory.

Each class is graded in a process of its own, so that its memory is its own; it tells its seconds of
processor and the most memory that it had. Every learner has three attempts at each checkpoint.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from eksnet.checkpoints import definitions, evidence
from eksnet.checkpoints.criteria import State
from eksnet.grading import grading, marking, packing

HALF, ROUNDS, ATTEMPTS = 200, 5, 3
BY_HALF, BY_LOAD, BY_MEMORY = 2.2, 5.0, 1.1
OBSERVED = (
    "kube-system/coredns has 2 of 2 pods ready, and its Corefile has no entry of the lab in it"
)
EXPECTED = "an entry 10.0.0.7 of the name in the block hosts, above the line fallthrough"


def records(learner: int) -> Iterator[dict[str, object]]:
    """Yield a learner's attempts, as the checks write them."""
    for number in range(ATTEMPTS):
        for place, one in enumerate(definitions.every()):
            right = (learner + number + place) % 4
            state = State.PASS if right else State.FAIL
            yield {
                "format": evidence.FORMAT,
                "checkpoint": one.id,
                "at": f"2026-11-{learner % 28 + 1:02}T{10 + number}:{place:02}:"
                f"{learner % 60:02}+00:00",
                "cluster": f"ca:{learner:032x}",
                "nonce": "autumn-7",
                "state": state,
                "points": one.points if right else 0,
                "of": one.points,
                "criteria": [
                    {"id": each.id, "state": state, "of": each.points,
                     "observed": f"{learner}: {OBSERVED}", "expected": "" if right else EXPECTED}
                    for each in one.criteria
                ],
            }  # fmt: skip


def hand_in(folder: Path, learner: int) -> None:
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records(learner))
    name = f"ca-{learner:032x}.jsonl"
    title = json.dumps({"format": packing.FORMAT}).encode()
    with zipfile.ZipFile(folder / f"learner{learner:03}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(packing.TITLE, title)
        packed.writestr(f"evidence/{name}", lines)


def loaded(folder: Path) -> float:
    """Return the seconds of processor that `json.load` of each line takes."""
    began = time.process_time()
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                with packed.open(name) as file:
                    for line in file:
                        json.loads(line)
    return time.process_time() - began


def graded(folder: Path, out: Path) -> float:
    """Return the seconds of processor that grading takes, all its files written."""
    rules = marking.Rules(definitions.every(), nonces=("autumn-7",))
    places = grading.Places(out / "gradebook.csv", out / "feedback")
    began = time.process_time()
    found = grading.grade_class(folder, places, rules)
    seconds = time.process_time() - began
    assert not found.has_notices, found.notices
    assert len(found.totals) == len(list((out / "feedback").iterdir()))
    return seconds


def measured(folder: Path) -> tuple[float, float, int]:
    """Return seconds of loading and of grading, and the most memory in KiB, of a new process."""
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as out:
        command = [sys.executable, __file__, str(folder), out]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    loading, grading_, memory = json.loads(said.stdout)
    return loading, grading_, memory


def main() -> int:
    rows = []
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home:
        half, whole = Path(home) / "half", Path(home) / "whole"
        for folder, count in ((half, HALF), (whole, 2 * HALF)):
            folder.mkdir()
            for learner in range(count):
                hand_in(folder, learner)
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
            rows.append((measured(half), measured(whole)))
    for (_, one, memory), (load, two, memory_of_two) in rows:
        print(f"json.load {load:.2f} s  grading {two:.2f} s  of half as many {one:.2f} s  "
              f"{memory_of_two // 1024} and {memory // 1024} MiB")  # fmt: skip
    by_half = statistics.median(two[1] / one[1] for one, two in rows)
    by_load = statistics.median(two[1] / two[0] for _, two in rows)
    by_memory = statistics.median(two[2] / one[2] for one, two in rows)
    print(f"grading {2 * HALF} submissions / {HALF}: {by_half:.2f} (at most {BY_HALF})")
    print(f"grading {2 * HALF} submissions / json.load: {by_load:.2f} (at most {BY_LOAD:g})")
    print(f"memory of {2 * HALF} / of {HALF}: {by_memory:.2f} (at most {BY_MEMORY})")
    return int(by_half > BY_HALF or by_load > BY_LOAD or by_memory > BY_MEMORY)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        times = loaded(Path(sys.argv[1])), graded(Path(sys.argv[1]), Path(sys.argv[2]))
        print(json.dumps([*times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
    else:
        raise SystemExit(main())
