"""The lessons: the one that is looked at, with its pictures, curves and verdict, and what can be done; then their line.

The same in every browser and after a reload.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
from gradio.blocks import Block

from clora_core.errors import StoreError
from demo.clicks import SEND, picked, scroll_to
from demo.dialogs import close_button, dialog, wire_close
from demo.errors import told
from demo.events import QUEUED, Changes
from demo.html import job as job_html
from demo.html import lessons as lessons_html
from demo.sharing import Owners, refuse_unless
from demo.uploads import given_back

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio
    from demo.tabs.add import AddTab

STOP_SECONDS = 5.0
ALL = "all"  # for the id of a lesson in the question: every one that waits for a decision


class Seen(NamedTuple):
    """What the panel shows of a job, to tell what has changed since; of no job, nothing."""

    job_id: str = ""
    state: str = ""
    stopping: bool = False
    phase: str = ""
    step: int = 0
    previews: int = 0
    points: int = 0  # of the curve

    @classmethod
    def of(cls, job: JobView) -> Seen:
        """Of a job as it stands."""
        return cls(job.id, job.state, job.stopping, job.phase, job.step, len(job.previews), len(job.curve))


def shown_job(seen: Seen | None) -> str:
    """Id of the job that is shown. Raises StoreError when the programme was started anew since."""
    if seen is None:
        raise StoreError("The programme was started anew. Reload the page to see the job as it stands.")
    return seen.job_id


def looked_at(listed: Sequence[JobView], chosen: str) -> str:
    """Id of the lesson that the panel shows: the one that somebody chose, while it is listed; else the one that is
    learned or paused; else the one that ended last; "" for none."""
    if chosen in [job.id for job in listed]:
        return chosen
    if listed and listed[0].state in ("running", "paused", "queued"):
        return listed[0].id
    return max(listed, key=lambda job: job.ended).id if listed else ""


class LessonPanel:
    """The panel's components and what they do. Made above the form.

    watchers: what ``watch`` may change.  changes: events after which the lessons must be looked at, once it is wired.
    chosen: id of the lesson that somebody wants to look at.
    """

    def __init__(self, studio: Studio, may_remove: bool, owners: Owners) -> None:
        self.studio, self.may_remove, self.owners = studio, may_remove, owners
        self.changes: list[Any] = []
        self._lay_out()
        stops, left = [self.pause, self.keep, self.drop_it], [self.resume, self.afresh, self.give_up]
        views = [self.head, self.previews, self.curves, self.line]
        columns = [self.live, self.watching, self.measured]
        self.watchers: list[Block] = [
            self.seen,
            self.verdict,
            self.chosen,
            *stops,
            *left,
            self.try_it,
            self.another,
            *views,
            *columns,
        ]

    # -- what is shown -----------------------------------------------------------------------------

    def watch(self, listed: Sequence[JobView], seen: Seen | None, chosen: str) -> Changes:
        """The lesson that is looked at, as it stands: only what changed since ``seen``, so that nothing flickers.

        listed: those that this visitor is to see: the line, what waits for a decision, what ended since.
        """
        job = self._job(looked_at(listed, chosen))
        if job is None:
            return {} if seen == Seen() else {self.seen: Seen(), self.verdict: "", **self._visible(None)}
        now = Seen.of(job)
        if now == seen:
            return {}
        changes: Changes = {self.seen: now, self.head: job_html.job_head(job)}
        changes[self.verdict] = job.id if job.finished and job.concept_id else ""
        old = seen if seen and seen.job_id == now.job_id else None
        rows = self._visible(job)
        if old is None or (old.state, old.stopping, old.step > 0) != (now.state, now.stopping, now.step > 0):
            changes |= rows
        if old is None or (old.previews, old.state) != (now.previews, now.state):
            changes |= {self.previews: job_html.job_pictures(job), self.watching: rows[self.watching]}
        if old is None or (old.points, old.step) != (now.points, now.step):
            changes |= {self.curves: job_html.learning_curves(job.curve, job.total)}
            changes |= {self.measured: rows[self.measured]}
        return changes

    def _job(self, job_id: str) -> JobView | None:
        try:
            return self.studio.job(job_id) if job_id else None
        except StoreError:  # it was cleared away a moment ago
            return None

    def _visible(self, job: JobView | None) -> Changes:
        """The panel's parts, and of its buttons those that can do something."""
        runs = job is not None and job.state == "running" and job.here and not job.stopping
        waits = job is not None and job.state == "queued" and job.here
        left = job is not None and job.resumable
        ended = job is not None and job.finished and not job.resumable
        visible = {
            self.live: job is not None,
            self.pause: runs,
            self.keep: runs and job is not None and job.step > 0,
            self.drop_it: runs or waits,
            self.resume: left,
            self.afresh: left and job is not None and job.begun,
            self.give_up: left,
            self.try_it: ended and job is not None and bool(job.concept_id),
            self.another: ended,
            self.watching: job is not None and bool(job_html.job_pictures(job)),
            self.measured: job is not None and len(job.curve) > 1,
        }
        changes: Changes = {part: gr.update(visible=shown) for part, shown in visible.items()}
        if job is not None:
            again = "Try again" if job.state == "failed" else "Go on learning"
            changes[self.resume] = gr.update(visible=left, value=again)
            out = "Take it out" if waits else "Stop and discard"
            changes[self.drop_it] = gr.update(visible=runs or waits, value=out)
        return changes

    # -- layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        with gr.Column(visible=False, elem_id="live") as self.live:
            with gr.Column(variant="panel", elem_classes="cl-panel"):
                self.head = gr.HTML(elem_id="job")
                self._lay_out_buttons()
                self.line = gr.HTML(elem_id="lessons", js_on_load=SEND)
            with gr.Row(equal_height=False):
                with gr.Column(
                    scale=1, min_width=320, variant="panel", elem_classes="cl-panel", visible=False
                ) as self.watching:
                    self.previews = gr.HTML(elem_id="previews")
                with gr.Column(
                    scale=1, min_width=320, variant="panel", elem_classes="cl-panel", visible=False
                ) as self.measured:
                    self.curves = gr.HTML(elem_id="curves")
        with dialog("ask-discard") as self.ask:
            self.question = gr.HTML()
            with gr.Row(elem_classes="cl-actions"):
                self.yes = gr.Button(
                    "Discard", variant="stop", elem_id="discard-yes", size="md", min_width=120, scale=0
                )
                self.no = close_button("Cancel", "discard-no")
        self.seen = gr.State(None)  # what ``watch`` showed last
        self.verdict = gr.State("")  # id of the job whose verdict is shown
        self.chosen = gr.State("")
        self.asked = gr.State("")  # id of the lesson that the question is about

    def _lay_out_buttons(self) -> None:
        def button(words: str, elem_id: str, variant: str = "secondary", classes: str = "") -> gr.Button:
            return gr.Button(
                words,
                variant=variant,  # type: ignore[arg-type]
                elem_id=elem_id,
                elem_classes=classes,
                size="md",
                min_width=120,
                scale=0,
                visible=False,
            )

        with gr.Row(elem_classes="cl-actions"):
            self.pause = button("Pause", "pause")
            self.keep = button("Stop and keep", "stop-keep")
            self.resume = button("Go on learning", "resume", "primary")
            self.afresh = button("Start over", "afresh")
            self.try_it = button("Try it in the Playground", "try-it", "primary")
            self.another = button("Teach another", "another")
            self.drop_it = button("Stop and discard", "stop-discard", "stop", "cl-apart")
            self.give_up = button("Discard", "give-up", "stop", "cl-apart")

    # -- what can be done --------------------------------------------------------------------------

    def wire(self, form: AddTab) -> None:
        """Pause, stop, go on, and the line. What is discarded goes back into the ``form``, where that is empty."""
        asking = [self.asked, self.question, self.ask]
        for button in (self.drop_it, self.give_up):
            button.click(told(self._ask), [self.seen, *form.given], asking, **QUEUED)
        wire_close(self.no, self.ask)
        line = self.line.click(told(self._in_line), [self.chosen, *form.given], [self.chosen, *asking], **QUEUED)
        self.changes = [
            line,
            self.yes.click(
                told(lambda asked, timeline_id, *given: self._discard(form, asked, timeline_id, *given)),
                [self.asked, form.timeline, *form.given],
                [self.ask, self.asked, *form.filled],
                **QUEUED,
            ),
            *(
                button.click(told(handler), self.seen, None, **QUEUED)
                for button, handler in (
                    (self.pause, self._pause),
                    (self.keep, self._keep),
                    (self.resume, self._go_on),
                    (self.afresh, self._start_over),
                )
            ),
        ]
        self.another.click(None, js=scroll_to(form.elem_id), api_visibility="private")

    def _pause(self, seen: Seen | None, request: gr.Request) -> None:
        self.owners.refuse_others(shown_job(seen), request)
        job = self.studio.job(shown_job(seen))
        if job and job.state != "running":
            raise StoreError(f"{job.name} is not being learned any more.")
        self.studio.lessons.pause()

    def _keep(self, seen: Seen | None, request: gr.Request) -> None:
        self.owners.refuse_others(shown_job(seen), request)
        self.studio.stop(shown_job(seen), keep=True)

    def _go_on(self, seen: Seen | None) -> None:
        self.studio.resume(shown_job(seen))

    def _start_over(self, seen: Seen | None, request: gr.Request) -> None:
        self.owners.refuse_others(shown_job(seen), request)
        self.studio.resume(shown_job(seen), afresh=True)

    def _in_line(self, chosen: str, paths: list[str], name: str, request: gr.Request, event: gr.EventData) -> Changes:
        """A click in the line of lessons."""
        act, value = picked(event)
        if act == "look":
            return {self.chosen: value}
        if act in ("up", "down"):
            self.owners.refuse_others(value, request)
            self.studio.lessons.move(value, earlier=act == "up")
        elif act == "resume":
            self.studio.resume(value)
        elif act == "resume-all":
            self.studio.lessons.resume_all()
        elif act in ("discard", "discard-all"):
            return self._asks(value if act == "discard" else ALL, paths, name)
        return {self.chosen: chosen}

    def _ask(self, seen: Seen | None, paths: list[str], name: str) -> Changes:
        return self._asks(shown_job(seen), paths, name)

    def _asks(self, job_id: str, paths: list[str], name: str) -> Changes:
        refuse_unless(self.may_remove)
        if job_id == ALL:
            question = lessons_html.discard_all_question([job for job in self.studio.lessons.all() if job.resumable])
        else:
            job = self.studio.job(job_id)
            assert job  # with an id there is one, or an error
            question = lessons_html.discard_question(job, returned=not (paths or name.strip()))
        return {self.asked: job_id, self.question: question, self.ask: gr.update(visible=True)}

    def _discard(self, form: AddTab, asked: str, timeline_id: str, paths: list[str], name: str) -> Changes:
        refuse_unless(self.may_remove)
        closed: Changes = {self.ask: gr.update(visible=False), self.asked: ""}
        if asked == ALL:
            self.studio.lessons.discard_all()
            return closed
        job = self.studio.job(asked) if asked else None
        if job is None or (job.finished and not job.resumable):
            return closed  # it has ended meanwhile
        empty = not (paths or name.strip())
        pictures = given_back(self.studio.lessons.pictures(asked)) if empty else []
        self.studio.stop(asked, keep=False)
        self.studio.wait(asked, STOP_SECONDS)  # its token is free again
        return closed | (form.fill(pictures, job.name, job.token, timeline_id) if pictures else {})
