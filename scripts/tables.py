"""Write the tables of README and docs from the results beside them, between these markers:

    <!-- table: NAME -->
    ...
    <!-- end -->

    python scripts/tables.py            write every table anew
    python scripts/tables.py --check    write nothing; fail where a table is out of date

A NAME is a key of ``TABLES``. A cell holds both figures of two runs (one where they agree), the mean with its 95 %
interval of three or more.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from clora_core.bench.forgetting.arms import ABLATIONS, arm_title  # noqa: E402
from clora_core.bench.forgetting.lines import Lines, values_of  # noqa: E402
from clora_core.bench.tables import table  # noqa: E402
from clora_core.disk import read_lines  # noqa: E402
from clora_core.measures.intervals import interval_text, mean_interval  # noqa: E402
from clora_core.settings.fields import labelled  # noqa: E402
from clora_core.settings.methods import BUILT_IN  # noqa: E402

RESULTS = ROOT / "docs" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


@cache
def results(file: str) -> Lines:
    """The finished cells of ``docs/results/FILE.jsonl``."""
    return read_lines(RESULTS / f"{file}.jsonl")


@dataclass(frozen=True)
class Row:
    """One row: a title, and which cells of which file stand behind it."""

    title: str
    file: str
    arm: str = "clora"
    where: Mapping[str, Any] = field(default_factory=dict)  # what a cell, or its settings for learning, must hold

    def lines(self) -> Lines:
        """Its cells. Raises ValueError when there is none."""
        found = [line for line in results(self.file) if line["arm"] == self.arm and self._holds(line)]
        if not found:
            raise ValueError(f"docs/results/{self.file}.jsonl has no run of {self.title}: {self.where}.")
        return found

    def _holds(self, line: Mapping[str, Any]) -> bool:
        return all({**line["train"], **line}.get(key) == value for key, value in self.where.items())


Show = Callable[[Sequence[float]], str]


def figures(digits: int = 0, factor: float = 1.0, unit: str = "") -> Show:
    """Both of two runs, or mean and 95 % interval."""

    def show(values: Sequence[float]) -> str:
        shown = [f"{value * factor:.{digits}f}" for value in values]
        if len(values) > 2 and len(set(shown)) > 1:
            return interval_text(*mean_interval([value * factor for value in values]), f".{digits}f") + unit
        return (", ".join(dict.fromkeys(shown)) or "-") + unit

    return show


def span(factor: float = 1.0) -> Show:
    """From the lowest to the highest run."""

    def show(values: Sequence[float]) -> str:
        low, high = (f"{pick(values) * factor:.0f}" for pick in (min, max))
        return low if low == high else f"{low} to {high}"

    return show


@dataclass(frozen=True)
class Column:
    """One column: its heading, the figure's key in a cell, and how the runs' figures are written."""

    heading: str
    key: str
    show: Show

    def cell(self, lines: Lines) -> str:
        """The figure of these runs."""
        return self.show(values_of(lines, self.key))


F_MMD = Column("F_mmd ↓", "f_mmd_x1000", figures())
A_MMD_LEARNED = Column("A_mmd when learned ↓", "a_mmd_learned_x1000", figures())
A_MMD = Column("A_mmd at the end ↓", "a_mmd_x1000", figures())
KID = Column("KID at the end ↓", "kid_x1000", figures())
LEARNED = Column("recognised when learned, of 10 ↑", "nearest_learned", span(10))
END = Column("recognised at the end, of 10 ↑", "nearest", span(10))
PROMPTS = Column("prompts followed ↑", "text_alignment", figures(factor=100, unit=" %"))
STORED = Column("stored, % of the U-Net ↓", "stored_percent", lambda values: f"{values[0]:.3g}")
ALL = (F_MMD, A_MMD_LEARNED, A_MMD, KID, LEARNED, END, PROMPTS, STORED)

MEASURED = (  # README: what somebody needs who reads nothing else
    Column("change of older pictures (F_mmd) ↓", "f_mmd_x1000", span()),
    Column("distance to the real people (A_mmd) ↓", "a_mmd_x1000", span()),
    Column("recognised when learned ↑", "nearest_learned", span(10)),
    Column("recognised at the end ↑", "nearest", span(10)),
)


def runs(columns: Sequence[Column], rows: Sequence[Row], first: str = "method") -> str:
    """A table of these rows."""
    head = [first, *(column.heading for column in columns)]
    return table(head, [[row.title, *(column.cell(row.lines()) for column in columns)] for row in rows])


def main_rows(file: str) -> list[Row]:
    """The four main methods over all orders, and nothing learned."""
    methods = [Row(arm_title(arm), file, arm) for arm in ("clora", "sequential", "merged", "routed")]
    return [*methods, Row("nothing learned", f"{file}-nothing", "textual_inversion")]


def all_rows(file: str, order: int, more: Sequence[Row] = ()) -> list[Row]:
    """Every method at one order with both seeds, nearest to the real people first."""
    arms = dict.fromkeys(line["arm"] for line in results(file))
    rows = [Row(arm_title(arm), file, arm, {"order": order}) for arm in arms]
    rows += [*more, Row("nothing learned", f"{file}-nothing", "textual_inversion")]
    return sorted(rows, key=lambda row: statistics.fmean(values_of(row.lines(), "a_mmd_x1000")))


def lambda_rows(file: str, weights: Sequence[float]) -> list[Row]:
    """C-LoRA at these values of lambda, order 0 and seed 0."""
    where = {"order": 0, "seed": 0}
    return [Row(f"{weight:,.0f}", file, "clora", {**where, "penalty_weight": weight}) for weight in weights]


def lambdas() -> str:
    """On the ten people of the benchmark: no penalty, three lambdas, and sequential LoRA beside them."""
    first = {"order": 0, "seed": 0}
    low, high = lambda_rows("forgetting-fresh-lambda", (30.0, 3000.0))
    rows = [
        Row("none (stacked LoRAs)", "forgetting-fresh", "stacked", first),
        low,
        *lambda_rows("forgetting-fresh", (300.0,)),
        high,
        Row("sequential LoRA", "forgetting-fresh", "sequential", first),
    ]
    return runs((F_MMD, A_MMD_LEARNED, A_MMD, KID, LEARNED, END), rows, "lambda")


def tenth() -> str:
    """C-LoRA and sequential LoRA at the preset's rate and at a tenth of it, on both sets of people."""
    first = {"order": 0}
    rows = [
        Row("C-LoRA, full rate", "forgetting-fresh", "clora", first),
        Row("sequential LoRA, full rate", "forgetting-fresh", "sequential", first),
        Row("sequential LoRA, a tenth", "forgetting-fresh-tenth", "sequential"),
        Row("sample people: C-LoRA, full rate", "forgetting", "clora", first),
        Row("sample people: sequential LoRA, full rate", "forgetting", "sequential", first),
        Row("sample people: C-LoRA, a tenth", "forgetting-tenth", "clora"),
        Row("sample people: sequential LoRA, a tenth", "forgetting-tenth", "sequential"),
    ]
    return runs((F_MMD, A_MMD, KID, END, PROMPTS), rows)


def replay() -> str:
    """Generative replay on the ten tuning people: learning rate, and the guidance it draws older ones with."""
    rows = [
        Row(f"rate {rate:g}, guidance {guidance:g}", "sweep-replay", "generative_replay", {"learning_rate": rate})
        for rate, guidance in ((2e-5, 4.0), (2e-4, 1.0), (2e-3, 1.0))
    ]
    rows.append(Row("C-LoRA beside it", "forgetting-lambda", "clora", {"penalty_weight": 300.0}))
    return runs((F_MMD, A_MMD, KID, END, PROMPTS), rows, "generative replay")


def rates() -> str:
    """The sweep by decades on three tuning people: likeness when learned and at the end, and who is recognised, around
    the rate at which each method was then run."""
    rows = []
    for arm in dict.fromkeys(line["arm"] for line in results("forgetting-fresh") if line["arm"] not in ABLATIONS):
        train = Row(arm, "forgetting-fresh", arm).lines()[0]["train"]
        rate = "token_learning_rate" if arm == "textual_inversion" else "learning_rate"
        cells = [_swept(arm, train, rate, factor) for factor in (0.1, 1.0, 10.0)]
        rows.append([arm_title(arm), f"{train[rate]:g}", *cells])
    return table(["method", "rate", "a tenth", "this rate", "ten times"], rows)


def _swept(arm: str, train: Mapping[str, Any], rate: str, factor: float) -> str:
    """The sweep's run of a method at ``factor`` times the rate it runs at; "" where there is none."""
    for line in results("sweep"):
        tried = line["train"]
        if (
            (tried["method"], line["people"]) == (arm, 3)
            and math.isclose(tried[rate], factor * train[rate])
            and (arm not in ("clora", "ewc") or tried["penalty_weight"] == train["penalty_weight"])
            and "replay_guidance" not in line["settings"]
        ):
            return f"{line['cosine_learned']:.3f}, {line['cosine_end']:.3f}, {line['recognised']} of 3"
    return ""


def token() -> str:
    """Textual Inversion on all ten tuning people at two rates."""
    rows = [
        [
            f"{line['train']['token_learning_rate']:g}",
            f"{line['cosine_end']:.3f}",
            f"{line['recognised']} of 10",
            f"{line['pictures_nearest']:.0%}",
        ]
        for line in results("sweep")
        if (line["train"]["method"], line["people"]) == ("textual_inversion", 10)
    ]
    return table(["rate", "likeness", "people recognised", "pictures recognised"], rows)


def merged() -> str:
    """Merged LoRAs on the sample people at two rates."""
    rows = [
        Row(f"{rate:g}", file, "merged", {"learning_rate": rate})
        for file, rate in (("forgetting-merged", 2e-3), ("forgetting", 2e-4))
    ]
    return runs((F_MMD, A_MMD, KID, END, PROMPTS), rows, "rate")


FELT = (  # what a line of scripts/felt.py has, in words, and what is wanted
    ("seconds_to_answer", "from `python app.py` to the first answer, s", ""),
    ("seconds_to_page", "to a page that can be used, s", ""),
    ("seconds_to_picture", "to the first picture, Draw pressed at once, s", "12"),
    ("cold_requests", "first visit, 60 pictures in the history: requests", "60"),
    ("cold_megabytes", "the same: MB", "1"),
    ("warm_megabytes", "reload: MB", ""),
    ("load_cpu", "libraries and model, CPU s", ""),
    ("picture_cpu", "a picture, CPU s", ""),
    ("step_cpu", "a learning step, CPU s", ""),
)


def felt() -> str:
    """What the lines of docs/results/felt.jsonl measured, side by side."""
    sides: dict[str, dict[str, Any]] = {}  # by note, what its lines have together
    for line in results("felt"):
        sides.setdefault(line["note"], {}).update(line)
    rows = [
        [words, *(f"{side[key]:g}" if key in side else "" for side in sides.values()), wanted]
        for key, words, wanted in FELT
        if any(key in side for side in sides.values())
    ]
    return table(["", *sides, "wanted"], rows)


def performance() -> str:
    """A step here and in the reference loop, from docs/results/performance.jsonl: a row for each thing that was
    measured, over its pairs."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for line in results("performance"):
        asked = (line["model"], line["resolution"], line["batch"], line["precision"], line["machine"], line["threads"])
        groups.setdefault(asked, []).append(line)
    rows = []
    for (model, pixels, batch, precision, machine, threads), lines in groups.items():
        ours, reference = (
            statistics.median(line[f"{side}_seconds"] for line in lines) for side in ("ours", "reference")
        )
        times = sorted(line["reference_seconds"] / line["ours_seconds"] for line in lines)
        rows.append(
            [
                f"{model}, {pixels} px, batch {batch}, {precision}",
                f"{machine}, {'1 thread' if threads == 1 else f'{threads} threads'}",
                f"{ours:.3g} s",
                f"{reference:.3g} s",
                f"{statistics.median(times):.2f} ({times[0]:.2f} to {times[-1]:.2f}, {len(times)} pairs)",
                *(f"{max(line[f'{side}_mb'] for line in lines) / 1000:.1f} GB" for side in ("ours", "reference")),
            ]
        )
    return table(["model", "machine", "here", "reference", "times as fast", "memory here", "reference"], rows)


def methods() -> str:
    """The built-in methods: their rows in ``clora_core.settings.methods``."""
    rows = []
    for row in BUILT_IN:
        options = ", ".join(f"`{name}`" for name in labelled(row.options))
        paper = row.paper and f"[{row.paper.authors}, {row.paper.venue}](https://arxiv.org/abs/{row.paper.arxiv})"
        rows.append([f"`{row.name}`", row.title, row.sentence, options, paper or ""])
    return table(["name", "title", "what it does", "options of its own", "paper"], rows)


GUIDED = Row("Generative replay, guidance 4", "forgetting-fresh-guided", "generative_replay")
TENTH = Row("Sequential LoRA, a tenth of the rate", "forgetting-fresh-tenth", "sequential")
SAMPLE_GUIDED = Row("Generative replay, guidance 4", "forgetting-guided", "generative_replay")

TABLES: Mapping[str, Callable[[], str]] = {
    "methods": methods,
    "felt": felt,
    "performance": performance,
    "measured": lambda: runs(MEASURED, [row for row in main_rows("forgetting-fresh") if row.arm != "merged"]),
    "main": lambda: runs(ALL[:-1], main_rows("forgetting-fresh")),
    "all": lambda: runs(ALL, all_rows("forgetting-fresh", 0, (TENTH, GUIDED))),
    "sample-main": lambda: runs(ALL[:-1], main_rows("forgetting")),
    "sample-all": lambda: runs(ALL[:-1], all_rows("forgetting", 1, (SAMPLE_GUIDED,))),
    "lambda": lambdas,
    "lambda-tuning": lambda: runs(
        (F_MMD, A_MMD, KID, END, PROMPTS), lambda_rows("forgetting-lambda", (30.0, 300.0, 3000.0)), "lambda"
    ),
    "tenth": tenth,
    "rates": rates,
    "token": token,
    "replay": replay,
    "merged": merged,
}


def written(page: str) -> str:
    """A page with its tables as the results have them now. Raises KeyError for a name that is not in ``TABLES``."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)


def main() -> int:
    """Write or check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a table is out of date")
    check = parser.parse_args().check
    stale = [path for path in PAGES if written(path.read_text(encoding="utf-8")) != path.read_text(encoding="utf-8")]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'out of date, run scripts/tables.py' if check else 'written'}")
        if not check:
            path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
