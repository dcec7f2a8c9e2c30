"""A button that begins a job, and Cancel in its place while the job runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from demo.errors import told
from demo.events import QUEUED, Changes

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio


class JobButtons:
    """Both buttons. parts: what ``running`` changes."""

    def __init__(self, studio: Studio, begin: gr.Button, cancel: gr.Button) -> None:
        self._studio, self._begin, self._cancel = studio, begin, cancel
        self._job_id = gr.State("")
        self.parts: list[Block] = [begin, cancel, self._job_id]
        cancel.click(told(self._stop), self._job_id, None, **QUEUED)

    def running(self, job_id: str) -> Changes:
        """How they stand while this job runs; "" = none does."""
        return {
            self._begin: gr.update(visible=not job_id),
            self._cancel: gr.update(visible=bool(job_id)),
            self._job_id: job_id,
        }

    def follow(self, job_id: str, seconds: float) -> Iterator[JobView]:
        """The job whenever something has changed, looked at so often; last as it ended. Raises StoreError when it is
        lost."""
        before = None
        while not (job := self._studio.wait(job_id, seconds)).finished:
            if (now := (job.state, job.step, job.phase)) != before:
                before = now
                yield job
        yield job

    def _stop(self, job_id: str) -> None:
        if job_id:
            self._studio.stop(job_id, keep=False)
