"""The timelines that ship with the app: ``python -m pretrain.example_timelines --home DIR --assets assets/timelines``.

DIR is the cell of ``python -m clora_core bench sequence``: the first five of its people become one example; they are
learned again under sequential LoRA, as the Compare tab does it, for the other. Goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from clora_core.bench.learning import TIMELINE
from clora_core.errors import StudioError
from clora_core.jobs.requests import CompareRequest
from clora_core.studio.progress import ProgressLine, telling
from clora_core.studio.studio import Studio

PEOPLE, NAME = 5, "Five people"


def learn_examples(studio: Studio) -> list[str]:
    """Ids of both timelines in the studio's home; learns what is missing. Raises StudioError when a learning fails."""
    by_name = {summary.name: summary.id for summary in studio.timelines()}
    if TIMELINE not in by_name:
        raise StudioError(
            "There is no sequence in this folder. Give the cell's folder of bench sequence, OUT/cells/...."
        )
    example = by_name.get(NAME) or studio.branch(by_name[TIMELINE], PEOPLE, NAME)
    job = studio.job()
    if job and job.resumable and job.timeline_id != by_name[TIMELINE]:
        studio.resume(job.id)
    elif not _sequential(studio, example):
        studio.comparisons.start(CompareRequest(example, ("sequential",)))
    say = ProgressLine()
    done, asked = studio.comparisons.progress()
    while done < asked:
        job = studio.job()
        assert job
        view = studio.follow(job.id, telling(say, job.token))
        if view.state != "done":
            raise StudioError(f"{view.token} was not learned: {view.message}")
        done, asked = studio.comparisons.progress()
    return [example, *_sequential(studio, example)]


def _sequential(studio: Studio, example: str) -> list[str]:
    return [side.id for side in studio.comparisons.siblings(example) if side.method == "sequential"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the example timelines.")
    parser.add_argument("--home", type=Path, required=True, help="the cell's folder of bench sequence")
    parser.add_argument("--assets", type=Path, required=True, help="folder of the examples, replaced")
    args = parser.parse_args()
    studio = Studio.open(args.home, examples=False)
    try:
        ids = learn_examples(studio)
    finally:
        studio.close()
    shutil.rmtree(args.assets, ignore_errors=True)
    for timeline_id in ids:
        shutil.copytree(args.home / "timelines" / timeline_id, args.assets / timeline_id)


if __name__ == "__main__":
    main()
