"""What may be typed after ``clora``, or ``python -m clora_core``. Settings are options made from their classes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, NoReturn

from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES
from clora_core.disk import HOME
from clora_core.errors import SettingsError
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.fields import labelled
from clora_core.settings.grid import KINDS
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import MethodRow, Methods
from clora_core.settings.strength import STRENGTH_HELP

DECADES = ("learning_rate", "penalty_weight")
COMMON = {"home": None, "model": None, "device": None, "precision": None, "json": False}


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are our own: one line, exit code 2, from one place."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see: {self.prog} --help)")


def method_files(arguments: Sequence[str] | None) -> list[Path]:
    """What stands after each ``--method-file``: read first, for the other options come from the methods."""
    first = _Parser(add_help=False, allow_abbrev=False)
    _add_method_file(first)
    return first.parse_known_args(arguments)[0].method_file or []


def _add_method_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method-file",
        type=Path,
        action="append",
        metavar="FILE",
        help="Python file with a method of your own (METHOD = MethodRow(...)); may be given again",
    )


def make_parser(methods: Methods) -> _Parser:
    """The parser of ``clora``, or ``python -m clora_core``; it raises SettingsError instead of leaving."""
    common = _common()
    parser = _Parser(
        prog="python -m clora_core" if Path(sys.argv[0]).name == "__main__.py" else "clora",
        description="Teach a text-to-image model concepts one by one.",
        parents=[common],
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="learn|lessons|draw|timeline|trash|bring|export|push|doctor|bench"
    )

    learn = commands.add_parser("learn", parents=[common], help="teach one concept from a folder of pictures")
    learn.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help=f"folder or zip with {MIN_PICTURES} to {MAX_PICTURES} pictures; 01.txt beside 01.jpg is its caption",
    )
    learn.add_argument(
        "--name", help="what the concept is called, for people (default: what a folder like '10_rex dog' says)"
    )
    learn.add_argument(
        "--each", type=Path, metavar="DIR", help="teach every folder in DIR instead, one after the other, by its name"
    )
    learn.add_argument("--token", help='its word in prompts, such as "<rex>" (default: made from the name)')
    learn.add_argument("--timeline", metavar="ID", help="timeline to add to (default: the one changed last)")
    learn.add_argument("--keep-pictures", action="store_true", help="store the pictures with the concept")
    learn.add_argument(
        "--no-real-picture",
        action="store_true",
        help="keep no small picture with the concept, to stand beside drawn ones",
    )
    learn.add_argument("--resume", metavar="JOB", help="go on with a lesson that was left instead")
    _add_learning(learn, methods)

    lessons = commands.add_parser("lessons", parents=[common], help="show the line of lessons, and what was left")
    left = lessons.add_mutually_exclusive_group()
    left.add_argument("--resume", action="store_true", help="go on with all that were paused or interrupted")
    left.add_argument("--again", metavar="JOB", help="try one from the start, on the timeline as it is now")
    left.add_argument("--discard", metavar="JOB", help="give one up, waiting or left; all: every one that was left")

    draw = commands.add_parser("draw", parents=[common], help="draw pictures from a prompt")
    draw.add_argument(
        "--prompt", required=True, help='for example "a photo of <rex> at the beach"; (word:1.2) has a weight'
    )
    draw.add_argument("--out", type=Path, metavar="FILE", help="PNG to write (default: only into the home folder)")
    draw.add_argument("--as-of", type=int, metavar="K", help="with the first K concepts only; 0 is the base model")
    draw.add_argument("--timeline", metavar="ID", help="timeline to draw from (default: the one changed last)")
    draw.add_argument(
        "--strength",
        nargs="+",
        action="extend",
        default=[],
        metavar="TOKEN=NUMBER",
        help=f'how strongly a concept is drawn, such as "<rex>=0.7". {STRENGTH_HELP}',
    )
    draw.add_argument(
        "--grid",
        nargs="+",
        metavar="WHAT=VALUES",
        help='a grid: what varies from left to right, and from top to bottom, such as "seed=1-4" "strength=0-1.5 [4]". '
        f"WHAT is one of {', '.join(KINDS)}; prompts stand with | between them",
    )
    _add_settings(draw, "settings (default: the base model's own)", labelled(SamplingConfig))

    timeline = commands.add_parser("timeline", parents=[common], help="show or change a timeline")
    timeline.add_argument("--timeline", metavar="ID", help="which one (default: the one changed last)")
    change = timeline.add_mutually_exclusive_group()
    change.add_argument("--undo", action="store_true", help="put the last concept on the redo shelf")
    change.add_argument("--redo", action="store_true", help="take the concept undone last back")
    change.add_argument("--branch", nargs=2, metavar=("K", "NAME"), help="copy the first K concepts to a new timeline")
    change.add_argument("--new", metavar="NAME", help="make an empty timeline")
    change.add_argument("--rename", metavar="NAME", help="give it, or the concept of --concept, another name")
    change.add_argument("--delete", action="store_true", help="move it, or the concept of --concept, to the trash")
    change.add_argument("--import", type=Path, metavar="FILE", dest="take_in", help="take in one that was exported")
    change.add_argument("--all", action="store_true", help="list all timelines")
    timeline.add_argument("--concept", metavar="TOKEN", help='which concept is renamed or deleted, such as "<rex>"')

    trash = commands.add_parser("trash", parents=[common], help="show what was deleted, bring it back, or empty it")
    done = trash.add_mutually_exclusive_group()
    done.add_argument("--restore", metavar="ID", help="put one thing back")
    done.add_argument("--empty", action="store_true", help="delete for good all that is there")

    bring = commands.add_parser(
        "bring", parents=[common], help="bring in a LoRA or an embedding made elsewhere, as a concept"
    )
    bring.add_argument("lora", type=Path, nargs="?", metavar="FILE", help="LoRA of another programme (.safetensors)")
    bring.add_argument("--embedding", type=Path, metavar="FILE", help="embedding of its token (.safetensors)")
    bring.add_argument("--word", default="", help="the word that the LoRA was trained with, if it has no embedding")
    bring.add_argument("--name", help="what the concept is called, for people (default: the file's name)")
    bring.add_argument("--token", help='its word in prompts, such as "<rex>" (default: made from the name)')
    bring.add_argument("--template", help='the prompt it is drawn with on its card (default: "a photo of {}")')
    bring.add_argument("--timeline", metavar="ID", help="timeline to add to (default: the one changed last)")
    bring.add_argument(
        "--leave-out",
        action="store_true",
        help="take the LoRA without what a concept cannot hold: all but cross-attention",
    )

    doctor = commands.add_parser("doctor", parents=[common], help="say what this machine can do, and what is missing")
    doctor.add_argument(
        "--archive",
        type=Path,
        metavar="ZIP",
        help="also write it into a file for whoever helps, with versions and how the last jobs ended; it holds no "
        "pictures, prompts or weights",
    )

    export = commands.add_parser("export", parents=[common], help="write a timeline as files for other programmes")
    export.add_argument("--out", type=Path, required=True, metavar="PLACE", help="new folder, or file, to write")
    _add_what_leaves(export)
    export.add_argument(
        "--format",
        choices=("kohya", "peft", "diffusers", "timeline"),
        default="kohya",
        help="kohya: LoRA and embeddings; peft: the same, for diffusers; diffusers: a whole model; "
        "timeline: one file for timeline --import elsewhere "
        "(default: kohya)",
    )
    export.add_argument(
        "--rank",
        type=int,
        default=0,
        metavar="N",
        help="reduce LoRAs to this rank, and say what is lost (default: none)",
    )
    export.add_argument("--pictures", action="store_true", help="of a timeline: with the pictures that were kept")

    push = commands.add_parser(
        "push", parents=[common], help="put a timeline on the Hugging Face Hub, with a model card"
    )
    push.add_argument("repository", metavar="OWNER/NAME", help="where; it is made where it is not there")
    _add_what_leaves(push)
    push.add_argument("--format", choices=("kohya", "peft", "diffusers"), default="kohya", help="as export has it")
    push.add_argument("--private", action="store_true", help="seen by you alone, where it is made anew")
    push.add_argument(
        "--dry-run", type=Path, metavar="DIR", help="write what would be sent into a new folder, and send nothing"
    )
    _add_bench(commands, common, methods)
    return parser


def _add_what_leaves(command: argparse.ArgumentParser) -> None:
    """Which timeline, and its numbers."""
    command.add_argument("--timeline", metavar="ID", help="timeline to export (default: the one changed last)")
    command.add_argument("--as-of", type=int, metavar="K", help="with the first K concepts only")
    command.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32", help="of the numbers (default: fp32)")


def _common() -> _Parser:
    """Options for before or after the command; SUPPRESS, so that neither place resets the other."""
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--home",
        type=Path,
        metavar="DIR",
        help=f"where timelines and pictures live (default: $CLORA_HOME or {HOME})",
    )
    common.add_argument(
        "--model",
        metavar="PATH_OR_HUB_ID",
        help="base model: folder, .safetensors file or Hub id (default: the embedded one)",
    )
    common.add_argument("--device", help="cpu, cuda, mps (default: the best there is)")
    common.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16", "fp8"),
        help="of the model's weights (default: by device); fp8: most of the U-Net in 8 bits, for large models on small "
        "cards",
    )
    common.add_argument("--json", action="store_true", help="one JSON object on stdout")
    _add_method_file(common)
    return common


def _add_learning(parser: argparse.ArgumentParser, methods: Methods, several: bool = False) -> None:
    """Which method; what all methods read; then, in a group each, what only some read."""
    group = parser.add_argument_group("method")
    words = "; ".join(f"{row.name}: {row.title}. {row.sentence[:-1]}" for row in methods)
    group.add_argument(
        "--method", dest="set_method", choices=methods.names, metavar="NAME", help=words.replace("%", "%%")
    )
    _add_settings(parser, "what every method reads (default: the base model's own)", labelled(TrainConfig), several)
    readers: dict[str, list[MethodRow]] = {}
    for row in methods:
        for name in labelled(row.options):
            readers.setdefault(name, []).append(row)
    groups: dict[str, dict[str, Field[Any]]] = {}
    for name, rows in readers.items():
        title = f"what only {', '.join(row.name for row in rows)} {'reads' if len(rows) == 1 else 'read'}"
        groups.setdefault(title, {})[name] = labelled(rows[0].options)[name]
    for title, specs in groups.items():
        _add_settings(parser, title, specs, several)


def _add_settings(
    parser: argparse.ArgumentParser, title: str, specs: Mapping[str, Field[Any]], several: bool = False
) -> None:
    """A group with one option for every setting: names, types and help come from the fields.

    several: numbers may be given more than one value, to try them all.
    """
    group = parser.add_argument_group(title)
    for spec in specs.values():
        name, help_text = "--" + spec.name.replace("_", "-"), spec.metadata["help"].replace("%", "%%")
        if spec.name == "precision":  # the common option of that name speaks of drawing
            name = "--train-precision"
        if isinstance(spec.default, bool):
            group.add_argument(
                name,
                dest=f"set_{spec.name}",
                action=argparse.BooleanOptionalAction,
                default=None,
                help=help_text,
            )
        else:
            group.add_argument(
                name,
                dest=f"set_{spec.name}",
                type=type(spec.default),
                help=help_text,
                choices=spec.metadata.get("choices"),
                nargs="+" if several and not isinstance(spec.default, str) else None,
                metavar=type(spec.default).__name__.upper(),
            )


def chosen_settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """The settings given on the command line, by the names of the settings class."""
    given = {key.removeprefix("set_"): value for key, value in vars(chosen).items() if key.startswith("set_")}
    return {key: value for key, value in given.items() if value is not None}


def _add_judge(kind: Any, network: str, judges: str) -> None:
    kind.add_argument(
        f"--{network}",
        metavar="PATH_OR_HUB_ID",
        help=f"{network.upper()} that says how well {judges} (default: on the embedded model its own networks, else "
        f"the usual "
        "one from the Hub)",
    )


def _add_bench(commands: Any, common: _Parser, methods: Methods) -> None:
    bench = commands.add_parser("bench", parents=[common], help="measure: speed, train, sequence, sweep, forgetting")
    kinds = bench.add_subparsers(dest="bench", required=True, metavar="speed|train|sequence|sweep|forgetting")
    train = kinds.add_parser("train", parents=[common], help="a step here, and as diffusers' example scripts do it")
    train.add_argument("--out", type=Path, metavar="FILE", help="JSON lines to add a row a pair to")
    train.add_argument("--pairs", type=int, default=5, help="how often both are timed (default: 5)")
    train.add_argument("--repeats", type=int, default=3, help="steps of each in a pair (default: 3)")
    train.add_argument(
        "--random-weights",
        metavar="FAMILY",
        help="a model of full size with random weights: stable-diffusion-v1, -v2 or -xl (default: --model)",
    )
    _add_learning(train, methods)
    for name, help_text in (
        ("speed", "seconds to learn a concept, seconds a picture"),
        ("sequence", "learn the sample concepts in order, then count which are recognised"),
        ("sweep", "try several values of settings on a few concepts"),
        ("forgetting", "compare methods: what each forgets, over orders and seeds"),
    ):
        kind = kinds.add_parser(name, parents=[common], help=help_text)
        kind.add_argument(
            "--out",
            type=Path,
            required=name != "speed",
            metavar="DIR",
            help="results; run again to go on there" + (" (default: none are kept)" if name == "speed" else ""),
        )
        kind.add_argument(
            "--on",
            metavar="dask://HOST:PORT",
            help="Dask cluster that runs the cells (default: this machine, all its GPUs)",
        )
        if name == "speed":
            continue
        _add_concepts(kind, few=name == "sweep")
        if name == "sweep":
            kind.add_argument("--methods", nargs="+", metavar="METHOD", help="methods to sweep (default: one)")
            kind.add_argument(
                "--decades",
                nargs="+",
                choices=(*DECADES, "token_learning_rate"),
                help=f"settings to try at a tenth, once and ten times each method's preset (default: "
                f"{' '.join(DECADES)})",
            )
        if name == "forgetting":
            kind.add_argument(
                "--methods",
                nargs="+",
                default=["clora", "sequential", "merged", "routed"],
                metavar="METHOD",
                help="what to compare: methods, and C-LoRA's ablations clora-word-token (the token starts at the "
                "model's object word) and clora-object-word (that word stays in the prompt) (default: the main four)",
            )
            _add_judge(kind, "clip", "prompts are followed")
            kind.add_argument("--orders", type=int, default=1, help="how many orders of the concepts")
            kind.add_argument("--seeds", type=int, default=1, help="how many seeds for each order")
        _add_learning(kind, methods, several=name == "sweep")


def _add_concepts(kind: argparse.ArgumentParser, few: bool) -> None:
    """What is learned and drawn, and who judges it. few: a quick try rather than a measurement."""
    kind.add_argument(
        "--references",
        type=Path,
        metavar="DIR",
        help="real pictures to compare with, one folder a concept (default: the samples' own)",
    )
    kind.add_argument("--people", type=int, default=3 if few else 10, help="how many sample concepts")
    kind.add_argument("--draws", type=int, default=4 if few else 8, help="pictures a concept")
    kind.add_argument(
        "--concepts",
        type=Path,
        metavar="DIR",
        help="concepts to learn, a folder like assets/base/people (default: the sample concepts)",
    )
    _add_judge(kind, "dino", "concepts are alike")
