"""The same things as the page, for programmes: named endpoints that take and give plain JSON.

    from gradio_client import Client, handle_file
    client = Client("http://127.0.0.1:7860")
    client.predict(prompt="a photo of <rex>", api_name="/draw")

Handlers of the page itself are private; these are the public ones, each a few lines over ``Studio``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

import gradio as gr
from gradio import FileData
from pydantic import TypeAdapter, ValidationError

from clora_core.answers import to_plain
from clora_core.concepts import Concept
from clora_core.errors import PictureError, SettingsError, StudioError
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.settings.drawing import seed_drawn
from clora_core.settings.grid import read_axis
from demo.errors import told
from demo.sharing import refuse_unless
from demo.uploads import uploaded

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio


class Api:
    """The endpoints. Empty ``timeline_id`` = the default timeline, everywhere."""

    def __init__(self, studio: Studio, may_remove: bool) -> None:
        self._studio, self._may_remove = studio, may_remove

    def publish(self, undocumented: Sequence[str] = ()) -> None:
        """Register every endpoint in the ``gr.Blocks`` that is open. undocumented: names of those that stand in no list
        of endpoints, and can be called all the same."""
        endpoints: list[Callable[..., Any]] = [
            self.timelines,
            self.timeline,
            self.new_timeline,
            self.branch,
            self.undo,
            self.redo,
            self.rename,
            self.delete,
            self.trash,
            self.restore,
            self.learn,
            self.lessons,
            self.pause,
            self.resume,
            self.job,
            self.stop,
            self.draw,
        ]
        for endpoint in endpoints:
            name = endpoint.__name__
            seen: Literal["public", "undocumented"] = "undocumented" if name in undocumented else "public"
            gr.api(told(checked(endpoint), html=False), api_name=name, concurrency_limit=None, api_visibility=seen)

    def _chosen(self, timeline_id: str) -> str:
        return timeline_id or self._studio.default_timeline()

    def timelines(self) -> list[dict[str, Any]]:
        """All timelines, last changed first."""
        return to_plain(self._studio.timelines())  # type: ignore[no-any-return]

    def timeline(self, timeline_id: str = "") -> dict[str, Any]:
        """Its learned concepts in order, and the redo shelf."""
        return to_plain(self._studio.timeline(self._chosen(timeline_id)))  # type: ignore[no-any-return]

    def new_timeline(self, name: str) -> str:
        """Make an empty timeline; returns its id."""
        return self._studio.new_timeline(name)

    def branch(self, timeline_id: str, k: int, name: str) -> str:
        """Copy the first k concepts into a new timeline; returns its id."""
        return self._studio.branch(self._chosen(timeline_id), k, name)

    def undo(self, timeline_id: str = "") -> dict[str, Any]:
        """Put the last concept on the redo shelf; returns the timeline."""
        refuse_unless(self._may_remove)
        return to_plain(self._studio.undo(self._chosen(timeline_id)))  # type: ignore[no-any-return]

    def redo(self, timeline_id: str = "") -> dict[str, Any]:
        """Take the concept undone last back; returns the timeline."""
        refuse_unless(self._may_remove)
        return to_plain(self._studio.redo(self._chosen(timeline_id)))  # type: ignore[no-any-return]

    def rename(self, name: str, timeline_id: str = "", concept_id: str = "") -> dict[str, Any]:
        """Give a timeline, or a concept of it, another name; tokens stay. Returns the timeline."""
        refuse_unless(self._may_remove)
        chosen = self._chosen(timeline_id)
        if concept_id:
            return to_plain(self._studio.rename_concept(chosen, concept_id, name))  # type: ignore[no-any-return]
        return to_plain(self._studio.rename_timeline(chosen, name))  # type: ignore[no-any-return]

    def delete(self, timeline_id: str, concept_id: str = "") -> str:
        """Move a timeline, or a concept of it, to the trash; returns what ``restore`` takes. A timeline's last concept
        is undone instead, which returns ""."""
        refuse_unless(self._may_remove)
        if concept_id:
            return self._studio.trash.delete_concept(timeline_id, concept_id)
        return self._studio.trash.delete_timeline(timeline_id)

    def trash(self) -> list[dict[str, Any]]:
        """What was deleted and can still come back, deleted last first."""
        return to_plain(self._studio.trash.items())  # type: ignore[no-any-return]

    def restore(self, item_id: str) -> dict[str, Any]:
        """Put one thing of the trash back in its place; returns what it was."""
        refuse_unless(self._may_remove)
        return to_plain(self._studio.trash.restore(item_id))  # type: ignore[no-any-return]

    def learn(
        self,
        pictures: list[FileData],
        name: str,
        token: str = "",
        timeline_id: str = "",
        settings: dict[str, Any] | None = None,
        keep_pictures: bool = False,
    ) -> str:
        """Put a concept into the line of lessons, with 3 to 30 uploaded pictures; returns the job's id, at once."""
        if not isinstance(pictures, list):
            raise PictureError("pictures: give a list of uploaded files, as handle_file(path) makes them.")
        paths = uploaded([_path(picture) for picture in pictures])
        if len(paths) < len(pictures):
            raise PictureError("Some pictures were not uploaded through this page. Send them with handle_file(path).")
        config = self._studio.base.train_with(settings or {})
        concept = Concept(name.strip(), token.strip() or self._studio.propose_token(name), tuple(map(Path, paths)))
        return self._studio.learn(LearnRequest(self._chosen(timeline_id), concept, config, keep_pictures))

    def lessons(self) -> list[dict[str, Any]]:
        """The line of lessons, next first, then those that were interrupted or failed and can be resumed."""
        return to_plain(self._studio.lessons.all())  # type: ignore[no-any-return]

    def pause(self) -> dict[str, Any]:
        """Pause the lesson that is being learned, and the line with it; returns it."""
        refuse_unless(self._may_remove)
        job = self._studio.job()
        self._studio.lessons.pause()
        return to_plain(self._studio.wait(job.id)) if job else {}

    def resume(self, job_id: str, afresh: bool = False) -> str:
        """Go on with a lesson that was paused or interrupted, or has failed; afresh = from the start."""
        if afresh:
            refuse_unless(self._may_remove)
        return self._studio.resume(job_id, afresh)

    def job(self, job_id: str = "") -> dict[str, Any]:
        """How a job stands; empty id = the first lesson of the line, or else the one that ended last; {} when there is
        none."""
        job: JobView | None = self._studio.job(job_id or None)
        return to_plain(job) if job else {}

    def stop(self, job_id: str, keep: bool = False) -> dict[str, Any]:
        """Stop a job within one step; keep = store what a learn job has learned so far. Returns the job."""
        refuse_unless(self._may_remove)
        self._studio.stop(job_id, keep)
        return to_plain(self._studio.wait(job_id))  # type: ignore[no-any-return]

    def draw(
        self,
        prompt: str,
        timeline_id: str = "",
        as_of: int | None = None,
        settings: dict[str, Any] | None = None,
        strengths: dict[str, float] | None = None,
        grid: dict[str, str] | None = None,
    ) -> list[FileData]:
        """Draw pictures and return them (PNG with their settings inside); waits until they are there.

        strengths: by token, 0 to 1.5.  grid: what varies and its values as on the command line, {"seed": "1-4"}; then
        there is one picture, the sheet.
        """
        chosen = self._studio.base.sampling.updated(seed_drawn(settings or {}))
        axes = tuple(read_axis(kind, values) for kind, values in (grid or {}).items())
        request = DrawRequest(self._chosen(timeline_id), prompt, chosen, as_of, strengths or {}, axes)
        job = self._studio.wait(self._studio.draw(request))
        if job.state != "done":
            raise StudioError(job.message)
        return [FileData(path=str(path)) for path in job.pictures]


def checked(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint, refusing what is not of the types it asks for: SettingsError naming it. What is left empty (null)
    has its default. Pictures come in several forms and are looked at by themselves."""
    asked, hints = inspect.signature(endpoint), get_type_hints(endpoint)
    kinds = {name: TypeAdapter(hint) for name, hint in hints.items() if name not in ("return", "pictures")}

    @wraps(endpoint)
    def call(*args: Any, **named: Any) -> Any:
        given = asked.bind(*args, **named)
        for name, kind in kinds.items():
            value, default = given.arguments.get(name), asked.parameters[name].default
            if value is None:
                given.arguments[name] = value = None if default is inspect.Parameter.empty else default
            try:
                given.arguments[name] = kind.validate_python(value)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, (name, *first["loc"])))
                raise SettingsError(f"{place}: {first['msg']}, got {str(value)[:100]!r}.") from error
        return endpoint(*given.args, **given.kwargs)

    return call


def _path(picture: FileData | dict[str, Any] | str) -> str:
    """Where a picture lies, in whichever of the forms it came."""
    if isinstance(picture, FileData):
        return picture.path
    return str(picture.get("path", "")) if isinstance(picture, dict) else str(picture)
