"""The lesson that runs, or has ended: how far it is, its pictures, curves and verdict, and what can be done with it.

The same in every browser and after a reload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
from gradio.blocks import Block

from clora_core.errors import StoreError
from demo.errors import told
from demo.events import QUEUED, Changes
from demo.html import job as job_html
from demo.sharing import refuse_unless

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio


class Seen(NamedTuple):
    """What the panel shows of a job, to tell what has changed since; of no job, the form."""

    job_id: str = ""
    state: str = ""
    phase: str = ""
    step: int = 0
    previews: int = 0
    points: int = 0  # of the curve

    @classmethod
    def of(cls, job: JobView) -> Seen:
        """Of a job as it stands."""
        return cls(job.id, job.state, job.phase, job.step, len(job.previews), len(job.curve))


def shown_job(seen: Seen | None) -> str:
    """Id of the job that is shown. Raises StoreError when the programme was started anew since."""
    if seen is None:
        raise StoreError("The programme was started anew. Reload the page to see the job as it stands.")
    return seen.job_id


class LessonPanel:
    """The panel's components and what they do. Made beside the form, which is hidden while a lesson is shown.

    watchers: what ``watch`` may change.  changes: events after which the job must be looked at.
    """

    def __init__(self, studio: Studio, form: gr.Row, may_remove: bool) -> None:
        self.studio, self.form, self.may_remove = studio, form, may_remove
        self._lay_out()
        rows = [self.form, self.live, self.stops, self.choice, self.ends, self.try_it]
        self.watchers: list[Block] = [self.seen, *rows, self.head, self.previews, self.curves, self.verdict]
        self.changes = self._wire()

    # -- what is shown -----------------------------------------------------------------------------

    def watch(self, seen: Seen | None, watched: str) -> Changes:
        """The job as it stands: only what changed since ``seen``, so that nothing flickers.

        A running job is shown to everybody; one that has ended only where it was watched (until dismissed),
        so that a new visitor finds the form. An interrupted one waits for a decision and is always shown.
        """
        job = self.studio.job()
        if job is None or (job.finished and not job.resumable and job.id != watched):
            return {} if seen == Seen() else {self.seen: Seen(), self.verdict: "", **self._rows(None)}
        now = Seen.of(job)
        if now == seen:
            return {}
        changes: Changes = {self.seen: now, self.head: job_html.job_head(job)}
        changes[self.verdict] = job.id if job.finished and job.concept_id else ""
        old = seen if seen and (seen.job_id, seen.state) == (now.job_id, now.state) else None
        if old is None:
            changes |= self._rows(job)
        if old is None or old.previews != now.previews:
            changes[self.previews] = job_html.job_pictures(job)
        if old is None or (old.points, old.step) != (now.points, now.step):
            changes[self.curves] = job_html.learning_curves(job.curve, job.total)
        return changes

    def _rows(self, job: JobView | None) -> Changes:
        """Form, or live panel with the buttons for a job that is running, interrupted, ended."""
        ended = job is not None and job.finished and not job.resumable
        visible = {
            self.form: job is None,
            self.live: job is not None,
            self.stops: job is not None and not job.finished,
            self.choice: job is not None and job.resumable,
            self.ends: ended,
            self.try_it: ended and job is not None and bool(job.concept_id),
        }
        return {part: gr.update(visible=shown) for part, shown in visible.items()}

    # -- layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        with gr.Column(visible=False, elem_id="live") as self.live:
            with gr.Column(variant="panel", elem_classes="cl-panel"):
                self.head = gr.HTML(elem_id="job")
                self._lay_out_buttons()
            with gr.Row(equal_height=False):
                with gr.Column(scale=1, min_width=320, variant="panel", elem_classes="cl-panel"):
                    self.previews = gr.HTML(elem_id="previews")
                with gr.Column(scale=1, min_width=320, variant="panel", elem_classes="cl-panel"):
                    self.curves = gr.HTML(elem_id="curves")
        self.seen = gr.State(None)  # what ``watch`` showed last
        self.verdict = gr.State("")  # id of the job whose verdict is shown

    def _lay_out_buttons(self) -> None:
        with gr.Row(elem_classes="cl-actions", visible=False) as self.stops:
            self.keep = gr.Button("Stop and keep", elem_id="stop-keep", size="md", min_width=150, scale=0)
            self.drop_it = gr.Button(
                "Stop and discard", variant="stop", elem_id="stop-discard", size="md", min_width=150, scale=0
            )
        with gr.Row(elem_classes="cl-actions", visible=False) as self.choice:
            self.resume = gr.Button("Go on learning", variant="primary", elem_id="resume", min_width=160, scale=0)
            self.give_up = gr.Button("Give it up", variant="stop", elem_id="give-up", min_width=120, scale=0)
        with gr.Row(elem_classes="cl-actions", visible=False) as self.ends:
            self.try_it = gr.Button(
                "Try it in the Playground", variant="primary", elem_id="try-it", min_width=220, scale=0
            )
            self.another = gr.Button("Teach another", elem_id="another", min_width=160, scale=0)

    # -- what can be done --------------------------------------------------------------------------

    def _wire(self) -> list[Any]:
        """Stop and keep, stop and discard; go on with an interrupted job, or give it up: the job that is shown, which
        need not be the one that runs by now."""
        return [
            button.click(told(handler), self.seen, None, **QUEUED)
            for button, handler in (
                (self.keep, self._keep),
                (self.drop_it, self._discard),
                (self.resume, self._go_on),
                (self.give_up, self._discard),
            )
        ]

    def _keep(self, seen: Seen | None) -> None:
        self.studio.stop(shown_job(seen), keep=True)

    def _discard(self, seen: Seen | None) -> None:
        refuse_unless(self.may_remove)
        self.studio.stop(shown_job(seen), keep=False)

    def _go_on(self, seen: Seen | None) -> None:
        self.studio.resume(shown_job(seen))
