"""The line of lessons as HTML: a row each, and the pill in the header that says what is learned. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from clora_core.answers import count
from demo.html.render import render
from demo.html.words import duration

if TYPE_CHECKING:
    from clora_core.answers import JobView

STATES = {
    "running": "learning",
    "paused": "paused",
    "done": "learned",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "interrupted",
}


class Row(NamedTuple):
    """A lesson in the line. place: among those that wait, 1 comes next; 0 for any other."""

    job: JobView
    state: str
    place: int
    last: bool
    shown: bool


def rows(lessons: Sequence[JobView], shown: str) -> list[Row]:
    """lessons: next first, as ``Lessons.all`` has them.  shown: id of the one that stands in the panel."""
    waiting = [job.id for job in lessons if job.state == "queued"]
    found = []
    for job in lessons:
        place = waiting.index(job.id) + 1 if job.id in waiting else 0
        state = STATES.get(job.state, "")
        if job.state == "done" and not _convinces(job):
            state = "stored"
        if job.state == "stopped":
            state = "kept" if job.concept_id else "discarded"
        if place:
            held = job.phase not in ("waiting for its turn", "waiting") and lessons[0].state != "paused"
            state = "waits" if place > 1 else job.phase if held else "next"
        elif job.state in ("running", "paused", "interrupted") and job.step:
            state = f"{state} · {job.share:.0%}"
        found.append(Row(job, state, place, place == len(waiting), job.id == shown))
    return found


def line(lessons: Sequence[JobView], shown: str, timelines: Mapping[str, str]) -> Markup | str:
    """Every lesson with what can be done with it; nothing where the panel shows the only one.

    timelines: names by id, of those that lessons are for; they are said where there are several.
    """
    if not lessons or [job.id for job in lessons] == [shown]:
        return ""
    left = sum(job.state in ("paused", "interrupted") for job in lessons)
    return render(
        "lessons",
        rows=rows(lessons, shown),
        timelines=timelines if len(timelines) > 1 else {},
        seconds=all_left(lessons),
        waiting=sum(job.state == "queued" for job in lessons),
        left=left,
        undecided=sum(job.resumable for job in lessons),
        ended=sum(job.finished and not job.resumable for job in lessons),
    )


def all_left(lessons: Sequence[JobView]) -> float | None:
    """About how many seconds the whole line takes, at the pace of the lesson that is learned; None while nothing waits
    or there is no pace yet."""
    waiting = [job for job in lessons if job.state == "queued"]
    first = lessons[0]
    if not waiting or first.seconds_left is None or not first.steps_per_second:
        return None
    return first.seconds_left + sum(job.total - job.step for job in waiting) / first.steps_per_second


def pill(lessons: Sequence[JobView]) -> Markup | str:
    """What is learned, or waits for a decision, or has just ended: one line, and the news for a notification."""
    if not lessons:
        return ""
    tone, words = _said(lessons)
    ended = max((job for job in lessons if job.finished and job.state != "paused"), key=_ended, default=None)
    news = f"{ended.id}-{ended.ended:.0f}" if ended else ""
    return render("pill", tone=tone, words=words, news=news, told=_news(ended) if ended else "")


def _said(lessons: Sequence[JobView]) -> tuple[str, str]:
    first = lessons[0]
    waiting = sum(job.state == "queued" for job in lessons[1:])
    more = f" · {count(waiting, 'lesson')} more" if waiting else ""
    if first.state == "running":
        verb = "Stopping" if first.stopping else "Learning"
        left = f", {duration(first.seconds_left)} left" if first.seconds_left is not None and not first.stopping else ""
        return "wait", f"{verb} {first.name} {100 * first.share:.0f} %{left}{more}"
    if first.state == "paused":
        return "paused", f"{first.name} is paused at {100 * first.share:.0f} %{more}"
    if first.state == "queued":
        return "wait", f"{first.name} is about to be learned{more}"
    undecided = [job for job in lessons if job.resumable]
    if len(undecided) > 1:
        return "bad", f"{len(undecided)} lessons wait for you: go on, or discard them"
    if undecided:
        return "bad", _news(undecided[0])
    last = max(lessons, key=_ended)
    return "good" if _convinces(last) else "bad", _news(last)


def _news(job: JobView) -> str:
    if job.concept_id:
        return f"{job.name} is learned" if _convinces(job) else f"{job.name} is stored, and not like its pictures"
    if job.state == "failed":
        return f"{job.name} could not be learned"
    return f"{job.name} was {'interrupted' if job.state == 'interrupted' else 'discarded'}"


def _convinces(job: JobView) -> bool:
    return not job.verdict or job.verdict.convinces


def _ended(job: JobView) -> float:
    return job.ended


def discard_question(job: JobView, returned: bool) -> Markup:
    """Before a lesson is discarded. returned: its pictures and name go back into the form."""
    return render("discard_question", job=job, returned=returned)


def discard_all_question(jobs: Sequence[JobView]) -> Markup:
    """Before all that wait for a decision are discarded."""
    return render("discard_all_question", names=[job.name for job in jobs])
