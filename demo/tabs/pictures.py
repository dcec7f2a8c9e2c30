"""The pictures of the form: dropped, looked at, edited, taken out again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from clora_core.data.edited import Edit
from clora_core.data.gathered import Gathered
from clora_core.data.pictures import given_name
from clora_core.errors import PictureError, StudioError
from demo.clicks import SEND, picked, script
from demo.errors import told
from demo.events import QUEUED, Changes, unchanged, whenever
from demo.html import add as add_html
from demo.uploads import given_back, in_form, taken_in, uploaded

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio


class FormPictures:
    """The drop zone, the thumbnails and the editor. Made inside the form.

    paths: State, of the files that are learned from, the edited ones in the place of what they were made from.
    good: State, how many of them can be used.  shown: what ``look_at`` changes.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown) -> None:
        self.studio, self.timeline = studio, timeline
        self.zone = gr.HTML(add_html.drop_zone(), elem_id="drop", js_on_load=script("drop"))
        self.checked = gr.HTML(elem_id="checked", js_on_load=SEND)
        self.editor = gr.HTML(elem_id="edit-picture", js_on_load=script("edit_picture"))
        self.paths: gr.State = gr.State([])
        self.good = gr.State(0)
        self.shown: list[Block] = [self.paths, self.good, self.checked]

    def wire(self, token: gr.Textbox) -> None:
        """Connect what concerns the pictures alone. token: stands in the prompts that captions extend."""
        asked = [self.paths, self.timeline]
        self.checked.click(told(self._clicked), [*asked, token], [*self.shown, self.editor], **QUEUED)
        self.editor.submit(told(self._edited), [*asked, token], [*self.shown, self.editor], **QUEUED)
        whenever([self.timeline.change], told(self._again), asked, self.shown, **QUEUED)

    def look_at(self, paths: Sequence[str], timeline_id: str, notes: Iterable[str] = ()) -> Changes:
        """These pictures are in the form now. notes: what else is to be said of them."""
        said = list(notes)
        if not (paths or said):
            return {self.paths: [], self.good: 0, self.checked: ""}
        checked = self.studio.check_pictures(paths)
        warnings = self.studio.nearly_same(checked, timeline_id)
        return {
            self.paths: list(paths),
            self.good: sum(item.problem is None for item in checked),
            self.checked: add_html.checked_pictures(checked, warnings, said),
        }

    def believed(self, paths: Iterable[str]) -> list[str]:
        """Those of ``paths`` that the form was given, or that belong to a sample, and that are still there."""
        samples = {str(path) for sample in self.studio.samples() for path in sample.pictures}
        ours = [path for path in map(str, paths) if path in samples or uploaded([path])]
        return [path for path in ours if Path(path).is_file()]

    def take(self, event: gr.EventData, paths: Sequence[str]) -> Gathered:
        """What was dropped, beside the ``paths`` that are there already.

        Raises PictureError for a zip that is refused, StoreError when the disk refuses.
        """
        files = [(str(file["path"]), str(file["place"])) for file in getattr(event, "files", [])]
        found = taken_in(files, paths)
        notes = list(found.notes)
        if left := [str(name) for name in getattr(event, "left", [])]:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            notes.append(f"{left[0]}{more} left out: no picture, or too large.")
        elif not files:
            notes.append("There was no picture in it.")
        return replace(found, notes=tuple(notes))

    def _again(self, paths: list[str], timeline_id: str) -> Changes:
        return self.look_at(paths, timeline_id) if paths else unchanged()

    def _clicked(self, paths: list[str], timeline_id: str, token: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act == "clear":
            return self.look_at([], timeline_id)
        if not value.isdigit() or int(value) >= len(paths):
            return unchanged()
        place = int(value)
        if act == "remove":
            return self.look_at(paths[:place] + paths[place + 1 :], timeline_id)
        if act != "edit":
            return unchanged()
        return self._dialog(place, Path(paths[place]), token)

    def _dialog(self, place: int, path: Path, token: str, edit: Edit | None = None, problem: str = "") -> Changes:
        """The editor over the page. edit: what is chosen in it; None = what was.  problem: why that was refused."""
        whole, before, smallest = self.studio.picture_to_edit(path)
        side = self.studio.base.train.resolution
        shown = add_html.edit_picture(place, whole, edit or before, smallest, side, token.strip(), problem)
        return {self.editor: shown}

    def _edited(self, paths: list[str], timeline_id: str, token: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act != "save":
            return {self.editor: ""}
        # no notice: it would lie behind the dialog
        try:
            place, edit = _read_edit(value, paths)
        except PictureError as error:
            return {self.editor: "", **self.look_at(paths, timeline_id, [str(error)])}
        path = Path(paths[place])
        try:
            if not in_form(path):  # a sample's: the form writes beside its own only
                path = Path(*given_back([path]))
            edited = str(self.studio.edit_picture(path, edit))
            return {self.editor: "", **self.look_at([*paths[:place], edited, *paths[place + 1 :]], timeline_id)}
        except StudioError as error:
            if not path.is_file():
                return {self.editor: "", **self.look_at(paths, timeline_id, [str(error)])}
            return self._dialog(place, path, token, edit, str(error))


def _read_edit(value: str, paths: Sequence[str]) -> tuple[int, Edit]:
    """Place and choice as the editor sends them. Raises PictureError when they are none, or of another picture."""
    try:
        sent = json.loads(value)
        place, box = int(sent["place"]), sent["box"]
        if given_name(Path(paths[place])) != sent["of"]:
            raise ValueError("of another picture")
        left, top, right, bottom = map(float, box or (0, 0, 1, 1))
        mask = base64.b64decode(sent["mask"], validate=True)
        return place, Edit((left, top, right, bottom) if box else None, str(sent["caption"]), mask)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise PictureError("The pictures have changed meanwhile. Open this one again.") from error
