"""Tools for an assistant on this machine, over the Model Context Protocol: ``python app.py --mcp``.

Gradio makes every public endpoint a tool, from its signature and docstring. Those of ``demo.api`` are, but for the
three of ``HIDDEN``: a tool can be given no list of files and gives back a picture only by itself. What stands here does
their work, with the same checks.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from gradio import FileData

from clora_core.concepts import Concept
from clora_core.data.picture_sets import pictures_in
from clora_core.errors import PictureError, SettingsError
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.settings.drawing import seed_drawn
from demo.errors import told
from demo.html.words import duration

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio

HIDDEN = ("learn", "draw", "job")
"""Endpoints of ``demo.api`` that are no tools. Programmes call them as ever."""


def refuse_tools_to_others(others: bool, password: bool) -> None:
    """Raise SettingsError where tools cannot be offered: Gradio asks nobody who calls one for the password, and what a
    tool does would then fail on it.

    others: can reach the page.  password: visitors are asked for one.
    """
    if others or password:
        raise SettingsError(
            "--mcp is for assistants on this machine: a tool cannot ask for the password of a page. Leave --host, "
            "--share and --auth out; from elsewhere come through ssh -L 7860:localhost:7860."
        )
    if find_spec("mcp") is None:
        raise SettingsError('--mcp needs the package mcp: python -m pip install "mcp>=1.27,<2"')


class Tools:
    """The tools beside the endpoints. Empty ``timeline_id`` = the default timeline, everywhere."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def publish(self) -> None:
        """Register every tool in the ``gr.Blocks`` that is open."""
        for tool in (self.teach, self.draw, self.progress):
            gr.api(told(tool, html=False), api_name=f"tool_{tool.__name__}", concurrency_limit=None)

    def teach(
        self,
        name: str,
        folder: str,
        token: str = "",
        timeline_id: str = "",
        steps: int = 0,
        keep_pictures: bool = False,
    ) -> str:
        """Start to learn a concept (a person, a thing, a style) from pictures; returns the job's id, at once.

        It takes minutes: ask the tool progress how it goes. Then a prompt may name it by its token.

        Args:
            name: what it is called, for example Rex.
            folder: full path of a folder on this machine with 3 to 30 pictures of it.
            token: the word for it in a prompt, for example <rex>. Empty: made from the name.
            timeline_id: the timeline that learns it, as its next concept. Empty: the one changed last.
            steps: updates to do. 0: as many as the base model's preset says.
            keep_pictures: keep copies of the pictures with the concept, to compare methods later.
        """
        studio, place = self._studio, Path(folder).expanduser()
        if not place.is_dir():
            raise PictureError(
                f"{folder} is no folder on this machine. Give the full path of one with 3 to 30 pictures."
            )
        config = studio.base.train_with({"steps": steps} if steps else {})
        concept = Concept(name.strip(), token.strip() or studio.propose_token(name), pictures_in(place))
        return studio.learn(LearnRequest(timeline_id or studio.default_timeline(), concept, config, keep_pictures))

    def draw(self, prompt: str, timeline_id: str = "", as_of: int = -1, seed: int = -1) -> FileData:
        """Draw one picture and look at it. The same prompt, seed and point in the timeline give the same picture.

        Args:
            prompt: what it shows; a learned concept by its token, as in "a photo of <rex> at the beach".
            timeline_id: whose concepts are known. Empty: the timeline changed last.
            as_of: draw as after the first so many concepts, 0 for the base model. -1: after all.
            seed: of the noise it starts from. -1: a new one.
        """
        studio = self._studio
        settings = studio.base.sampling.updated(seed_drawn({"seed": seed}))
        point = None if as_of < 0 else as_of
        request = DrawRequest(timeline_id or studio.default_timeline(), prompt, settings, point)
        (picture,) = studio.draw_now(request)
        return FileData(path=str(picture))

    def progress(self, job_id: str = "") -> str:
        """How a job stands, in a sentence: how far learning is, or what came of it.

        Args:
            job_id: as the tool teach returned it. Empty: the concept that is learned now, or was learned last.
        """
        job = self._studio.job(job_id or None)
        return _in_words(job) if job else "Nothing was learned here yet."


def _in_words(job: JobView) -> str:
    if job.finished:
        return f"{job.name or job.prompt}: {job.state}. {job.message}".strip()
    left = f", about {duration(job.seconds_left)} left" if job.seconds_left is not None else ""
    return f"{job.name or job.prompt}: {job.phase}, step {job.step} of {job.total}{left}."
