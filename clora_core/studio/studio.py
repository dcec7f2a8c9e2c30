"""The door: everything the web page and the command line may ask for.

``Studio`` ties four parts together and adds no model code of its own: the ``ConceptStore`` (timelines
on disk), the ``JobBoard`` (one worker thread that owns the model, with its truth on disk), the work
itself (``clora_core.jobs.learn``), and the checks of what users type and upload. Every method returns at
once except ``draw_now``, ``export_now`` and ``wait``. Errors are ``StudioError``s whose text is for the user.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.answers import Exported, JobView, LoraContents, ModelChoice, Sample, TimelineSummary, TimelineView
from clora_core.concepts import LearnedConcept, TrainStep, checked_name, filled, same_base, token_for_name
from clora_core.concepts import check_token as check_token_form
from clora_core.data.alike import nearly_same
from clora_core.data.decoded import Decoded
from clora_core.data.edited import Edit, apply_edit, edit_of, original_of
from clora_core.data.picture_sets import read_samples
from clora_core.data.pictures import (
    CheckedPicture,
    PictureSet,
    accepted,
    given_name,
    minimum_side,
    open_pictures,
    usable,
)
from clora_core.disk import ASSETS, read_json
from clora_core.drawing.prompt_notes import check_learned, prompt_notes
from clora_core.errors import ModelError, PictureError, SettingsError, StoreError, StudioError
from clora_core.jobs.board import JobBoard
from clora_core.jobs.folder import Job, thin
from clora_core.jobs.grid import cells_of, cost, estimate
from clora_core.jobs.queue import left_with, queue_learning, refuse_while_learning, waiting_requests
from clora_core.jobs.requests import BringRequest, DrawRequest, ExportRequest, LearnRequest
from clora_core.models import description
from clora_core.models.loading import load_backbone
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.fields import Settings
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import Methods
from clora_core.settings.plugins import known_methods
from clora_core.settings.strength import check_weights
from clora_core.store.favourites import Favourites
from clora_core.store.store import ConceptStore
from clora_core.studio.comparison import Comparisons
from clora_core.studio.defaults import Defaults
from clora_core.studio.estimates import Estimates
from clora_core.studio.history import History
from clora_core.studio.housekeeping import Housekeeping
from clora_core.studio.lessons import Lessons
from clora_core.studio.likeness import Likenesses
from clora_core.studio.models import RecentModels
from clora_core.studio.trash import Trash

if TYPE_CHECKING:
    from clora_core.jobs.check import Loaded

FOLLOW_SECONDS = 0.3
SHOWN = ("pictures", "jobs", "timelines", "comparisons")  # folders of a home whose pictures the page may show


def _listed(names: Sequence[str]) -> str:
    """ "01.jpg looks", "01.jpg and 02.jpg look", "01.jpg and 3 more look"."""
    if len(names) == 1:
        return f"{names[0]} looks"
    return f"{names[0]} and {names[1] if len(names) == 2 else f'{len(names) - 1} more'} look"


class Studio:
    """One open home folder and one base model. Make it with ``Studio.open``, end it with ``close``."""

    @classmethod
    def open(
        cls,
        home: Path,
        model: str | None = None,
        device: str | None = None,
        precision: str | None = None,
        assets: Path = ASSETS,
        examples: bool = True,
        methods: Methods | None = None,
    ) -> Studio:
        """Open a home folder (made when missing). Loads no model: call ``warm_up`` or start a job.

        Args:
            home: where timelines, jobs and pictures live.
            model: folder, .safetensors file or Hub id of a base model; None = the embedded one.
            device: "cpu", "cuda", ...; None = the best one there is.
            precision: "fp32", "bf16" or "fp16" for drawing; None = by device.
            assets: the shipped files (embedded model, sample pictures, example timelines).
            examples: a home folder without timelines gets the shipped ones.
            methods: those that are known; None = the built-in and the installed ones.

        Raises:
            SettingsError: an installed method or a preset of the model is wrong.
            ModelError: there is no such model. A Hub id is only looked up when it is loaded.
        """
        base = description.read_base(model or assets / "base", methods or known_methods())
        studio = cls(home, base, device, precision, assets)
        if examples:
            studio._adopt_examples()
        return studio

    def __init__(
        self, home: Path, base: description.BaseModel, device: str | None, precision: str | None, assets: Path
    ) -> None:
        """Use ``Studio.open``."""
        self._home, self._base, self._assets, self._pictures = home, base, assets, home / "pictures"
        self._device, self._precision = device, precision
        self._recent, self._defaults, self._exchange = RecentModels(home), Defaults(home), threading.Lock()
        self.not_opened = ""
        """Why the model that somebody asked for last was not opened, as a sentence; "" = it was."""
        self._store, self._decoded = ConceptStore(home, base.methods), Decoded()
        self._favourites = Favourites(home, self._store.lock)
        works = {"learn": self._do_learn, "draw": self._do_draw, "export": self._do_export, "bring": self._do_bring}
        self._board = JobBoard(
            home / "jobs", self._load, works, base.methods, self._store.lock, self._tidy, self._stored_by
        )
        self.lessons = Lessons(self._store, self._board, lambda: self.base.id)
        self.housekeeping = Housekeeping(home, self._board)
        self.estimates = Estimates(self._store, self._board, lambda: self.base)
        self.comparisons = Comparisons(
            self._store,
            self._board,
            lambda: self._own,
            self.samples,
            home,
            self._decoded.open,
            self.estimates,
            lambda *of: self.likeness.then_and_now(*of),
        )
        self.likeness = Likenesses(self._store, lambda: self.base, self.comparisons.pictures, self._decoded.open)
        self._history = History(self._pictures)
        self.trash = Trash(self._store, self._board, self._pictures)

    # -- the model -------------------------------------------------------------------------------

    @property
    def base(self) -> description.BaseModel:
        """Name, path, resolution, and the settings (``train``, ``sampling``) of the open base model that nobody need
        choose: its preset, and what this home prefers to it."""
        return self._defaults.over(self._own)

    @property
    def _own(self) -> description.BaseModel:
        """The same with the model's own preset alone, which comparisons and card pictures go by."""
        return self._board.model.base if self.ready else self._base

    def preferred(self) -> list[tuple[str, str, str]]:
        """(setting, value, the model's own) of what this home prefers to the open model's preset."""
        own, base = self._own, self.base
        pairs: list[tuple[str, Settings, Settings]] = [("Drawing", own.sampling, base.sampling)]
        pairs += [
            (row.title, own.train_with({"method": row.name}), base.train_with({"method": row.name}))
            for row in self.methods
        ]
        return [
            (f"{title}: {spec.metadata['label']}", str(new.to_json()[name]), str(old.to_json()[name]))
            for title, old, new in pairs
            for name, spec in new.specs().items()
            if new.to_json()[name] != old.to_json()[name]
        ]

    def prefer(self, chosen: SamplingConfig | TrainConfig | None) -> None:
        """Keep settings in the home as this model's defaults; None = go back to its own preset.

        Raises StoreError where they cannot be written, or the model is not on this machine yet.
        """
        if not self._own.id:
            raise StoreError("The model is still being loaded. Wait until it is there.")
        try:
            if chosen is None:
                self._defaults.forget(self._own)
            else:
                self._defaults.keep(self._own, chosen)
        except OSError as error:
            raise StoreError(f"The defaults could not be written: {error}.") from error

    @property
    def methods(self) -> Methods:
        """The methods that are known here, built-in ones first."""
        return self._base.methods

    @property
    def device(self) -> str | None:
        """The device asked for; None = the best there is."""
        return self._device

    @property
    def ready(self) -> bool:
        """The model stands in memory: the next job starts at once."""
        return self._board.model is not None

    @property
    def model_problem(self) -> str:
        """Why the model could not be loaded, as a sentence; empty while there is no problem."""
        return self._board.model_problem

    def warm_up(self) -> None:
        """Start loading the model in the worker, if it is not loaded yet. Returns at once."""
        if not self.ready:
            self._board.warm_up()

    def models(self) -> list[ModelChoice]:
        """The base models to choose from: the embedded one, then those opened last in this home."""
        embedded = self._embedded()
        shipped = [ModelChoice(embedded.name, embedded.path)] if embedded else []
        known = {choice.path for choice in shipped}
        return shipped + [choice for choice in self._recent.all() if choice.path not in known]

    def _embedded(self) -> description.BaseModel | None:
        try:
            return description.read_base(self._assets / "base", self.methods)
        except ModelError:  # assets without a model of their own
            return None

    def open_model(self, model: str) -> None:
        """Have the worker load another base model in the place of the open one; returns at once.

        ``ready`` is false meanwhile. Where the model cannot be loaded, the one before is opened again and
        ``not_opened`` says why.

        model: folder, .safetensors file or Hub id.

        Raises:
            ModelError: there is no such folder or file, or it holds a model of another family.
            SettingsError: its preset is wrong, or no model is given.
            BusyError: something is learned, drawn or loaded.
        """
        model = model.strip()
        if not model:
            raise SettingsError("No model is chosen. Choose one, or type a folder, a file or a Hub id.")
        path = str(Path(model).expanduser()) if model.startswith("~") else model
        base = description.read_base(path, self.methods)
        with self._exchange:
            before = self._own
            self._base = base  # seen once the board lets the other one go
            try:
                self._board.change_model(lambda: self._load_or(before))
            except StudioError:
                self._base = before
                raise
            self.not_opened = ""

    def _load_or(self, before: description.BaseModel) -> Loaded:
        """In the worker: the model asked for, or the one ``before`` where that cannot be loaded."""
        gc.collect()  # cycles hold the model that was let go, and both may not have room
        try:
            loaded = self._load()
        except StudioError as error:
            if self._base is before:
                raise
            with self._exchange:
                self._base, self.not_opened = before, str(error)
            return self._load()
        with suppress(OSError):  # a shortcut less
            self._recent.note(loaded.base)
        return loaded

    def downloaded(self) -> int:
        """Bytes of the model's files that the Hub has sent so far, where it is a Hub model; else 0."""
        return description.downloaded_bytes(self._base.path)

    def prompt_notes(self, prompt: str, timeline_id: str, as_of: int | None = None) -> list[str]:
        """What will not work in ``prompt`` at this point of a timeline, in sentences; None = at its end.

        What is too long is not said before the model is loaded.
        """
        if not prompt.strip():
            return []
        cards, base = self.timeline(timeline_id).cards, self.base
        unread = self._left_out(prompt, [card.token for card in cards])
        unknown = description.unknown_words(base.path, prompt)
        return prompt_notes(prompt, cards, len(cards) if as_of is None else as_of, unknown, unread, base.joined_by)

    def _left_out(self, prompt: str, tokens: Sequence[str]) -> str:
        """The end of ``prompt`` that the text encoder does not read; "" = it reads all, or the model is not loaded."""
        if not self.ready:
            return ""
        from clora_core.drawing.weights import read_weights
        from clora_core.models.tokens import left_out

        return left_out(self._board.model.backbone.tables, read_weights(prompt)[0], tokens)

    def pasted_settings(self, text: str) -> dict[str, Any]:
        """Prompt and settings in a text of A1111's format that was pasted as a prompt; {} for any other prompt."""
        from clora_core.drawing.png_settings import settings_in

        found = settings_in(text)
        return found if found["prompt"].strip() and len(found) > 1 else {}

    # -- what comes in ---------------------------------------------------------------------------

    def samples(self) -> list[Sample]:
        """The picture sets that ship with the app; [] when there are none."""
        return read_samples(self._assets / "base" / "people")

    def check_pictures(self, paths: Sequence[Path | str]) -> list[CheckedPicture]:
        """Open every file and say what is wrong with it (``problem``) or mended (``note``). Never raises."""
        return open_pictures(paths, self._smallest, self._decoded.open)

    def picture_to_edit(self, path: Path) -> tuple[CheckedPicture, Edit, float]:
        """The whole picture that ``path`` is or was cut from, what was chosen for it, and the share of its shorter side
        that a part must have. Raises PictureError when it can no longer be opened."""
        (whole,) = self.check_pictures([original_of(path)])
        if whole.image is None:
            raise PictureError(whole.sentence)
        shorter = min(whole.image.size)
        return whole, edit_of(path, whole.image.size), min(1.0, self._smallest / shorter)

    def edit_picture(self, path: Path, edit: Edit) -> Path:
        """Cut, mask and describe a picture as chosen; returns the picture to learn from. Files are written beside it.

        Raises PictureError: the part or the mask cannot be used.  StoreError: the disk refuses.
        """
        whole, _, _ = self.picture_to_edit(path)
        assert whole.image
        try:
            return apply_edit(whole.path, whole.image, edit, self._smallest)
        except OSError as error:
            raise StoreError(f"What was chosen for {whole.name} cannot be kept: {error}. Free some space.") from error

    @property
    def _smallest(self) -> int:
        return minimum_side(self.base.train.resolution)

    def nearly_same(self, checked: Sequence[CheckedPicture], timeline_id: str) -> list[str]:
        """A sentence for each usable picture that looks nearly like an earlier one of these, or like one that a concept
        of the timeline was learned from. The person decides."""
        found = usable(checked)
        names, hashes = [given_name(path) for path in found.paths], found.hashes
        said = [
            f"{names[one]} is nearly the same as {names[other]}: what is in both is learned twice."
            for one, other in nearly_same(hashes)
        ]
        for card in self.timeline(timeline_id).cards:
            alike = [names[one] for one, _ in nearly_same(hashes, card.picture_hashes)]
            if alike:
                said.append(f"{_listed(alike)} nearly like a picture of {card.name}: the two will be confused.")
        return said

    def propose_token(self, name: str) -> str:
        """The token offered for a name: "Ilva Maron" gives "<ilva-maron>". Raises ConceptError."""
        return token_for_name(name)

    def check_token(self, token: str, timeline_id: str) -> None:
        """Raise ConceptError when the token is malformed, or taken in this timeline or by a lesson that waits to be
        learned there (case is ignored)."""
        taken = [card.token for card in self.timeline(timeline_id).cards]
        waiting = waiting_requests(self._board, timeline_id)
        check_token_form(token, [*taken, *(request.concept.token for request in waiting)])

    # -- timelines -------------------------------------------------------------------------------

    def timelines(self) -> list[TimelineSummary]:
        """All timelines in the home folder, last changed first."""
        return self._store.summaries(self.base.id)

    def default_timeline(self) -> str:
        """Id of the timeline changed last that fits the base model; a new empty one when there is none."""
        usable = self._usable()
        usable.sort(key=lambda summary: bool(summary.comparison))  # what only a comparison made comes last
        return usable[0].id if usable else self.new_timeline(self._store.free_title("My concepts"))

    def first_timeline(self) -> str:
        """Id of the timeline for somebody who has chosen none yet: the shipped example, for there is something to see
        in it; ``default_timeline`` where it is gone or emptied."""
        full = {summary.id for summary in self._usable() if summary.concepts}
        shown = (path.parent.name for path in self._examples() if path.parent.name in full)
        return next(shown, "") or self.default_timeline()

    def _usable(self) -> list[TimelineSummary]:
        """The timelines that fit the base model, changed last first; while its id is not known, none that belongs to
        any."""
        return [found for found in self._store.summaries(self.base.id or "not known yet") if found.usable]

    def timeline(self, timeline_id: str) -> TimelineView:
        """Cards in order and the redo shelf. Raises StoreError when there is no such timeline."""
        return self._store.view(timeline_id, self.base.id)

    def curve(self, timeline_id: str, concept_id: str) -> tuple[TrainStep, ...]:
        """The loss curve that a stored concept was learned with, thinned like that of a job."""
        return tuple(thin(list(self._store.curve(timeline_id, concept_id))))

    def new_timeline(self, name: str) -> str:
        """Make an empty timeline and return its id. Raises ConceptError when the name is taken or cannot be one."""
        return self._store.create(name, self.base.id, self.base.name, self.base.train.method.name)

    def free_title(self, wanted: str) -> str:
        """A name like this one that no timeline has."""
        return self._store.free_title(wanted)

    def rename_timeline(self, timeline_id: str, name: str) -> TimelineView:
        """Give a timeline another name. Raises ConceptError when it is taken or cannot be one."""
        self._store.rename(timeline_id, name)
        return self.timeline(timeline_id)

    def rename_concept(self, timeline_id: str, concept_id: str, name: str) -> TimelineView:
        """Give a concept another name; its token stays, for it stands in prompts and files. Raises ConceptError when it
        cannot be one."""
        self._store.rename_concept(timeline_id, concept_id, name)
        return self.timeline(timeline_id)

    def undo(self, timeline_id: str) -> TimelineView:
        """Put the last concept on the redo shelf. Raises StoreError (there is none), BusyError (learning)."""
        refuse_while_learning(self._board, timeline_id)
        self._store.undo(timeline_id)
        return self.timeline(timeline_id)

    def redo(self, timeline_id: str) -> TimelineView:
        """Take the concept undone last back. Raises StoreError (nothing to redo), BusyError (learning)."""
        refuse_while_learning(self._board, timeline_id)
        self._store.redo(timeline_id)
        return self.timeline(timeline_id)

    def branch(self, timeline_id: str, k: int, name: str) -> str:
        """Copy the first ``k`` concepts into a new timeline and return its id. Raises ConceptError (the name),
        StoreError."""
        return self._store.branch(timeline_id, k, name)

    def archive(
        self, timeline_id: str, file: Path | None = None, as_of: int | None = None, pictures: bool = False
    ) -> Path:
        """Write a timeline as of its first ``as_of`` concepts (None = all) into one file, for ``take_in`` elsewhere.

        file: None = one in the home.  pictures: those that were kept to learn from go with them. Returns the file;
        raises SettingsError (no such point), StoreError, DiskError.
        """
        self._check_point(self.timeline(timeline_id), as_of)
        file = file or self._home / "exports" / f"{timeline_id}-whole" / f"{timeline_id}.zip"
        self._store.archive(timeline_id, file, as_of, pictures)
        return file

    def take_in(self, file: Path) -> TimelineSummary:
        """The timeline in a file that ``archive`` wrote, here or elsewhere, as a new one.

        It may belong to another base model (``TimelineSummary.elsewhere``): then it is shown when that is open. Raises
        StoreError: there is none in it, or it is damaged.
        """
        timeline_id = self._store.take_in(file)
        return next(found for found in self.timelines() if found.id == timeline_id)

    def changes(self, timeline_id: str) -> tuple[tuple[float | None, ...], ...]:
        """The forgetting map: row i holds, for the concepts 1 to i, how much each one's picture after concept i
        differs from the one drawn when it was learned (``pictures.difference``)."""
        return self._store.changes(timeline_id)

    def learned(self, timeline_id: str) -> tuple[LearnedConcept, ...]:
        """The concepts of a timeline with their tensors, for the benchmarks."""
        return self._store.load(timeline_id, self.base.id).concepts

    def take(self, timeline_id: str, learned: LearnedConcept) -> None:
        """Store a concept that was learned elsewhere, on this base model, at the end of a timeline, for the benchmarks.

        Raises ConceptError (its token is taken), StoreError (another base model, no room).
        """
        self.check_token(learned.token, timeline_id)
        before = self._store.load(timeline_id, self.base.id)
        self._store.append(replace(before, method=learned.config.method), learned)

    def export_problem(self, timeline_id: str, as_of: int | None = None, format: str = "kohya") -> str:
        """Why a timeline as of its first ``as_of`` concepts cannot be exported so (``ExportRequest.format``), as a
        sentence; "" = it can, as far as that is known before the model is asked."""
        from clora_core.export.parts import NOTHING, no_loras, only_here, whole_weights

        view = self.timeline(timeline_id)
        if not view.cards[:as_of]:
            return NOTHING
        if (row := self.methods.find(view.method)) and row.gated:
            return only_here(row)
        if format not in ("kohya", "peft"):
            return ""
        if not self.base.takes_loras:
            return no_loras(self.base.name)
        whole = self._store.has_whole_weights(timeline_id, as_of)
        return whole_weights(self.methods.stored(view.method)) if whole else ""

    def export(self, request: ExportRequest) -> str:
        """Queue the writing of files for other programmes, proved, and return the job's id. It takes minutes.

        Raises:
            SettingsError: nothing to export, the method cannot be, or the folder holds something.
            StoreError: no such timeline or point in it, or it belongs to another base model.
        """
        self._store.check(request.timeline_id, self.base.id)
        view, as_of = self.timeline(request.timeline_id), request.as_of
        self._check_point(view, as_of)
        if problem := self.export_problem(request.timeline_id, as_of, request.format):
            raise SettingsError(problem)
        if request.rank and request.format == "diffusers":
            from clora_core.export.merged import NO_RANK

            raise SettingsError(NO_RANK)
        job = self._board.create(request)
        self._board.submit(job)
        return job.id

    @staticmethod
    def _check_point(view: TimelineView, as_of: int | None) -> None:
        """Raise SettingsError where a timeline has no such point."""
        if as_of is not None and not 0 <= as_of <= len(view.cards):
            raise SettingsError(f"The timeline {view.name!r} has {len(view.cards)} concepts; there is no {as_of}.")

    def exporting(self, timeline_id: str) -> str:
        """Id of the job that exports this timeline now; "" = none does."""
        return self._at_work("export", timeline_id)

    def export_now(self, request: ExportRequest, on_progress: Callable[[JobView], None] | None = None) -> Exported:
        """``export`` and wait. Raises StudioError with the job's message when it did not end well."""
        view = self.follow(self.export(request), on_progress)
        if view.exported is None:
            raise StudioError(view.message)
        return view.exported

    def lora_contents(self, file: Path) -> LoraContents:
        """What a LoRA file of another programme holds, from its keys. Raises ConceptError: it is none, or of a kind
        that cannot be held."""
        from clora_core.bring.lora_file import read_lora

        return read_lora(file).contents

    def bring(self, request: BringRequest) -> str:
        """Queue the bringing in of what another programme has learned, and return the job's id. It is drawn, and so is
        every older concept, as after a lesson.

        Raises:
            ConceptError: the token is taken, the name is too long, or a file is none that can be held, or not whole
                and nobody chose so.
            SettingsError: the timeline's method has no place for it, or what its token means is not said.
            StoreError: no such timeline, or it belongs to another base model.
            BusyError: something is learned there.
        """
        from clora_core.bring.asked import check_asked

        refuse_while_learning(self._board, request.timeline_id)
        self._store.check(request.timeline_id, self.base.id)
        name = checked_name(request.concept.name, "concept", "Rex")
        request = replace(request, concept=replace(request.concept, name=name))
        self.check_token(request.concept.token, request.timeline_id)
        method = self.methods.stored(self.timeline(request.timeline_id).method)
        check_asked(method, request.lora, request.embedding, request.word, request.leave_out)
        job = self._board.create(request)
        self._board.submit(job)
        return job.id

    def bring_now(self, request: BringRequest, on_progress: Callable[[JobView], None] | None = None) -> JobView:
        """``bring`` and wait. Raises StudioError with the job's message when it did not end well."""
        view = self.follow(self.bring(request), on_progress)
        if view.state != "done":
            raise StudioError(view.message)
        return view

    def bringing(self, timeline_id: str) -> str:
        """Id of the job that brings something into this timeline now; "" = none does."""
        return self._at_work("bring", timeline_id)

    # -- work ------------------------------------------------------------------------------------

    def learn(self, request: LearnRequest) -> str:
        """Queue the learning of a concept and return the job's id: it is learned at the end of the timeline as that is
        when its turn comes.

        The pictures are copied into the job's folder now.

        Raises:
            PictureError, ConceptError, SettingsError: what is asked for cannot work.
            StoreError: no such timeline, or it belongs to another base model.
            BusyError: too many wait already.
        """
        self._refuse_to_learn(request)  # before the pictures are decoded, which takes seconds
        smallest = minimum_side(request.config.resolution)
        pictures = accepted(open_pictures(request.concept.pictures, smallest, self._decoded.open))
        self._refuse_long_captions(pictures, request)
        concept = replace(request.concept, pictures=pictures.paths)
        with self._store.lock:  # somebody may have asked meanwhile, also in another programme on this home
            self._refuse_to_learn(request)
            return queue_learning(self._board, replace(request, concept=concept), pictures.sha256)

    def _refuse_long_captions(self, pictures: PictureSet, request: LearnRequest) -> None:
        """Raise PictureError naming the first picture whose caption the model would not read whole."""
        if not self.ready or not any(pictures.captions):
            return  # else the worker says it
        from clora_core.data.dataset import longest_prompt
        from clora_core.models.tokens import left_out

        tables, token = self._board.model.backbone.tables, request.concept.token
        for path, caption in zip(pictures.paths, pictures.captions, strict=True):
            unread = left_out(tables, longest_prompt(request.concept, request.config, caption), [token])
            if caption and unread:
                name = given_name(path)
                raise PictureError(
                    f"The caption of {name} is too long: the model would not read {unread!r}. Shorten it."
                )

    def _refuse_to_learn(self, request: LearnRequest) -> None:
        """Raise what ``learn`` raises, but for what is wrong with the pictures."""
        self._store.check(request.timeline_id, self.base.id)
        view, config = self.timeline(request.timeline_id), request.config
        waiting = waiting_requests(self._board, request.timeline_id)
        method = view.method if view.cards else waiting[-1].config.method.name if waiting else config.method.name
        if method != config.method.name:
            other = f"{self.methods.title(method)}, not {config.method.title}"
            raise SettingsError(
                f"The timeline {view.name!r} is learned with {other}. Start a new timeline for another method."
            )
        token = request.concept.token
        self.check_token(token, request.timeline_id)
        before = [*(card.token for card in view.cards), *(queued.concept.token for queued in waiting)]
        check_learned(filled(config.preview_prompt, token), [*before, token])
        if self.ready:  # else the worker says what does not fit the model
            from clora_core.learning.trainer import checked_settings

            last = TrainConfig.from_json(view.cards[-1].settings, self.methods) if view.cards else None
            last = waiting[-1].config if waiting else last
            checked_settings(self._board.model.backbone, config, last)

    def resume(self, job_id: str, afresh: bool = False) -> str:
        """Go on with a lesson that was paused or interrupted, from its last checkpoint and bit for bit, or try one
        again that has failed; returns the same id. With it go on those of its comparison. afresh: from the start, on
        the timeline as it is when its turn comes.

        Raises StoreError: it is no such lesson, or the timeline has changed since the checkpoint.
        """
        self.lessons.resume(job_id, afresh)
        return job_id

    def draw(self, request: DrawRequest) -> str:
        """Queue pictures and return the job's id.

        While a concept is being learned the job waits; ``JobView.phase`` says so.

        Raises SettingsError (no prompt, no such ``as_of``, nothing to make stronger), ConceptError (a token that is not
        learned then), StoreError (no such timeline, another base model).
        """
        request = self._checked(request)
        job = self._board.create(request)
        self._board.submit(job)
        return job.id

    def _checked(self, request: DrawRequest) -> DrawRequest:
        """The request without what surrounds its prompt; raises what ``draw`` raises."""
        first = next((str(axis.values[0]) for axis in request.axes if axis.kind == "prompt"), request.prompt)
        request = replace(request, prompt=first.strip())
        if not request.prompt:
            raise SettingsError("The prompt is empty. Write what the picture should show.")
        self._store.check(request.timeline_id, self.base.id)
        view, as_of = self.timeline(request.timeline_id), request.as_of
        if as_of is not None and not 0 <= as_of <= len(view.cards):
            raise SettingsError(f"The timeline {view.name!r} has {len(view.cards)} concepts; there is no {as_of}.")
        parts = [request]
        if request.axes:
            parts = [cell.request for cell in cells_of(request, view.cards)]
        for part in parts:
            learned = [card.token for card in view.cards[: part.as_of]]
            later = {card.token: card.index for card in view.cards[len(learned) :]}
            text = f"{part.prompt} {part.settings.negative_prompt} {' '.join(part.strengths)}"
            check_learned(text, learned, later)
            if part.strengths:
                check_weights(self.methods.stored(view.method), part.strengths)
        return request

    def draw_estimate(self, request: DrawRequest) -> tuple[int, float | None]:
        """How many pictures a request asks for, and about how many seconds they take; None while nothing of the kind
        was drawn here. Raises what ``draw`` raises."""
        request = self._checked(request)
        if request.axes:
            parts = [cell.request.settings for cell in cells_of(request, self.timeline(request.timeline_id).cards)]
        else:
            parts = [request.settings] * request.settings.pictures
        return len(parts), estimate(self._board.jobs("draw"), sum(map(cost, parts)))

    def draw_now(self, request: DrawRequest, on_progress: Callable[[JobView], None] | None = None) -> list[Path]:
        """``draw`` and wait. Raises StudioError with the job's message when it did not end well."""
        view = self.follow(self.draw(request), on_progress)
        if view.state != "done":
            raise StudioError(view.message)
        return view.pictures

    def job(self, job_id: str | None = None) -> JobView | None:
        """One job; None = the first lesson of the line, or else the one that ended last. None is returned when there is
        none."""
        job = self._board.find(job_id) if job_id is not None else self._board.latest()
        return self._board.view(job) if job else None

    def landed(self) -> str:
        """Id of the learn job whose concept was stored last; "" when there is none."""
        job = self._board.landed()
        return job.id if job else ""

    def stop(self, job_id: str, keep: bool = False) -> None:
        """Stop within one step. ``keep``: a learn job stores what it has learned; a draw job is cancelled.

        A lesson that waits, was left or has failed is given up for good (its pictures and checkpoint are deleted).
        Raises StoreError when one that does not run is to be kept; nothing is deleted then. Raises BusyError when
        another programme has it.
        """
        job = self._board.find(job_id)
        with self._store.lock if job.resumable else nullcontext():  # another programme may be about to go on with it
            for each in left_with(self._board, job) if job.left else [job]:
                self._board.stop(each.id, keep)

    def wait(self, job_id: str, timeout: float | None = None) -> JobView:
        """Block until the job has ended (or ``timeout`` seconds passed) and return its view."""
        return self._board.view(self._board.wait(job_id, timeout))

    def follow(self, job_id: str, on_progress: Callable[[JobView], None] | None = None) -> JobView:
        """``wait`` that calls ``on_progress`` about three times a second meanwhile."""
        view = self.wait(job_id, 0.0)
        while not view.finished:
            if on_progress:
                on_progress(view)
            view = self.wait(job_id, FOLLOW_SECONDS)
        return view

    # -- pictures --------------------------------------------------------------------------------

    def history(self, limit: int | None = 60, timeline_id: str = "", start: int = 0) -> list[Path]:
        """Pictures drawn in this home folder (PNG): those drawn last first, those of one drawing in their order.

        limit: so many at most, after the first ``start``; None = all.  timeline_id: only those drawn from it.
        """
        return self._history.pictures(limit, timeline_id, start)

    def picture(self, name: str) -> Path:
        """A picture that the page may show, by its path. Raises PictureError when it is none or gone."""
        path = Path(name).resolve()
        shown = [self._home / folder for folder in SHOWN]
        if not (path.suffix == ".png" and path.is_file() and any(path.is_relative_to(f.resolve()) for f in shown)):
            raise PictureError(f"The picture {path.name} is no longer there. Reload the page.")
        return path

    def favourites(self) -> frozenset[str]:
        """Names of the pictures of the history that are favourites. Raises StoreError when their list is damaged."""
        return self._favourites.names()

    def favourite(self, path: Path) -> bool | None:
        """Whether a picture is one; None = it is not of the history, and cannot be."""
        return path.name in self.favourites() if path.parent == (self._home / "pictures").resolve() else None

    def set_favourite(self, path: Path, liked: bool) -> None:
        """Make a picture of the history a favourite, or no longer. Raises StoreError (the home cannot be written)."""
        self._favourites.mark(path.name, liked)

    def picture_settings(self, path: Path) -> dict[str, Any]:
        """The settings written into a PNG (prompt, seed, as_of, timeline, ...); {} when it carries none."""
        from clora_core.drawing.png_settings import read_settings

        return read_settings(path)

    def unread_settings(self, path: Path) -> tuple[str, ...]:
        """Names of what another program noted in a picture that has no meaning here, such as "Clip skip"."""
        from clora_core.drawing.png_settings import not_read

        return not_read(path)

    def close(self) -> None:
        """Stop the worker. A learn job that was running can be resumed later."""
        self._board.close()

    # -- inside ----------------------------------------------------------------------------------

    def _adopt_examples(self) -> None:
        if not self._store.ids() and not self._store.trash.entries():
            for shipped in self._examples():
                if same_base(read_json(shipped)["base_id"], self._base.id):
                    self._store.adopt(shipped.parent)

    def _examples(self) -> list[Path]:
        """The shipped timelines' ``timeline.json``, the one to be seen first in front."""
        return sorted((self._assets / "timelines").glob("*/timeline.json"))

    def _at_work(self, kind: str, timeline_id: str) -> str:
        """Id of the job of a kind that is at work on a timeline now; "" = none is."""
        jobs = (job for job in self._board.jobs(kind) if not job.finished)
        return next((job.id for job in jobs if job.request.timeline_id == timeline_id), "")

    def _load(self) -> Loaded:
        from clora_core.jobs.check import Loaded

        backbone = load_backbone(self._base.path, self._device, self._precision)
        if not self._base.id:  # a model from the Hub has its fingerprint only now that its files are here
            self._base = description.read_base(self._base.path, self.methods)
        return Loaded(backbone, self._base)

    def _tidy(self) -> None:
        from clora_core.models.memory import give_back

        give_back()

    def _stored_by(self, job: Job) -> str:
        """Id of the concept that a lesson has stored; "" = none."""
        created = job.record.get("storing", "")
        if not (created and isinstance(job.request, LearnRequest)):
            return ""
        return self._store.stored(job.request.timeline_id, job.request.concept.token, created)

    def _do_learn(self, model: Loaded, job: Job) -> dict[str, Any]:
        from clora_core.jobs.learn import learn

        return learn(model, job, self._store, lambda: self._board.serve_waiting("draw"), self._decoded.open)

    def _do_draw(self, model: Loaded, job: Job) -> dict[str, Any]:
        from clora_core.jobs.draw import draw

        return draw(model, job, self._store, self._pictures)

    def _do_export(self, model: Loaded, job: Job) -> dict[str, Any]:
        from clora_core.jobs.export import export

        return export(model, job, self._store, self._home / "exports", self._device)

    def _do_bring(self, model: Loaded, job: Job) -> dict[str, Any]:
        from clora_core.jobs.bring import bring

        return bring(model, job, self._store)
