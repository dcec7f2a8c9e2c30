"""Two programmes on one home folder: ``python tests/store/races.py --rounds 2000``.

Each round, two processes write to one timeline at the same moment. After it the timeline must be readable and hold
what both said they did: an operation that answered must have happened, one that was refused must not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from tiny.concepts import tiny_concept  # noqa: E402

from clora_core.errors import ConceptError, StoreError  # noqa: E402
from clora_core.store.store import ConceptStore  # noqa: E402

BASE = "0123456789abcdef"
OWN_PIDS = ("unshare", "--pid", "--fork", "--mount-proc")  # as two containers on one folder
OPERATIONS = ("append", "undo", "redo", "branch", "create", "rename", "remove", "delete")


def do(store: ConceptStore, operation: str, timeline_id: str, name: str) -> None:
    """One writing operation. Raises StoreError or ConceptError when it is refused."""
    if operation == "append":
        before = store.load(timeline_id, BASE)
        store.append(before, replace(tiny_concept(name), token=f"<{name}>"))
    elif operation == "branch":
        store.branch(timeline_id, 1, f"Race of {name}")
    elif operation == "create":
        store.create(f"Race of {name}", BASE, "Portraits")
    elif operation == "rename":
        store.rename(timeline_id, name)
    elif operation == "remove":
        store.remove(timeline_id, "001-ann")
    else:
        getattr(store, operation)(timeline_id)


def work() -> None:
    """A programme: opens the home as the app does, and does what each line of stdin says when its second line comes."""
    for line in sys.stdin:
        home, operation, timeline_id, name = json.loads(line)
        store = ConceptStore(Path(home))
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            do(store, operation, timeline_id, name)
            print("done", flush=True)
        except (StoreError, ConceptError) as error:
            print(f"refused: {error}", flush=True)


class Programme:
    """One process that does as it is told."""

    def __init__(self, prefix: tuple[str, ...] = ()) -> None:
        command = [*prefix, sys.executable, __file__, "--work"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """The next line it prints."""
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


def race(home: Path, rounds: int, programmes: tuple[Programme, Programme]) -> list[str]:
    """What was lost or broken in so many rounds of every pair of operations; [] when nothing was."""
    faults = []
    for one, other in itertools.combinations_with_replacement(OPERATIONS, 2):
        for number in range(rounds):
            folder = home / f"{one}-{other}-{number}"
            folder.mkdir()
            store = ConceptStore(folder)
            timeline_id = store.create("People", BASE, "Portraits", "routed")  # of which any concept may leave
            for name in ("ann", "bob", "cy"):
                do(store, "append", timeline_id, name)
            store.undo(timeline_id)
            for programme, operation, name in zip(programmes, (one, other), ("dora", "emil"), strict=True):
                programme.tell(json.dumps([str(folder), operation, timeline_id, name]))
                assert programme.answer() == "ready"
            for programme in programmes:
                programme.tell("go")
            said = [programme.answer() for programme in programmes]
            faults += [f"{one}+{other} round {number}: {fault}" for fault in check(store, (one, other), said)]
    return faults


def check(store: ConceptStore, operations: tuple[str, str], said: list[str]) -> list[str]:
    """What does not hold after a round that began with two concepts and one on the redo shelf."""
    done = [operation for operation, answer in zip(operations, said, strict=True) if answer == "done"]
    try:
        deleted = [store.bring_back(entry.id) for entry in store.trash.entries()]
        timelines = {timeline_id: store.load(timeline_id, BASE) for timeline_id in store.ids()}
    except StoreError as error:
        return [f"unreadable: {error}"]
    length = 2 + done.count("append") + done.count("redo") - done.count("undo") - done.count("remove")
    new = done.count("branch") + done.count("create")
    names = {"dora", "emil"} if "rename" in done else {"People"}
    faults = []
    if deleted != ["people"] * done.count("delete"):
        faults.append(f"{said} left {deleted} in the trash")
    if timelines["people"].name not in names:
        faults.append(f"{said} left the name {timelines['people'].name}")
    if [entry[1] for entry in store.taken_out()] != ["001-ann"] * done.count("remove"):
        faults.append(f"{said} left {store.taken_out()} taken out")
    if len(timelines["people"].concepts) != length:
        faults.append(f"{said} left {len(timelines['people'].concepts)} concepts instead of {length}")
    if len(timelines) != 1 + new:
        faults.append(f"{said} left {len(timelines)} timelines instead of {1 + new}")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="of every pair of operations")
    parser.add_argument("--own-pids", action="store_true", help="each in a PID namespace of its own, as containers are")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        return work()
    prefix = OWN_PIDS if chosen.own_pids else ()
    programmes = Programme(prefix), Programme(prefix)
    with tempfile.TemporaryDirectory() as home:
        faults = race(Path(home), chosen.rounds, programmes)
    for programme in programmes:
        programme.close()
    pairs = len(list(itertools.combinations_with_replacement(OPERATIONS, 2)))
    print("\n".join([*faults, f"{pairs} pairs, {chosen.rounds} rounds each: {len(faults)} faults"]))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
