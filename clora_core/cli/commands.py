"""The command line: the same ``Studio`` as the page, for scripts and terminals.

Results go to stdout (with ``--json`` as one JSON object), progress and warnings to stderr. A user's
error is one line on stderr and exit code 2; Ctrl-C, SIGTERM and SIGHUP are 130; 1 is a doctor that found something bad;
anything else is a bug and its traceback.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clora_core.answers import JobView, TimelineView, count, to_plain, what_is_left
from clora_core.cli.arguments import COMMON, chosen_settings, make_parser, method_files
from clora_core.cli.processes import shared_home
from clora_core.concepts import MAX_NAME_LENGTH, Concept
from clora_core.data.gathered import ZIP_SUFFIX, Gathered, gather, unpack
from clora_core.data.pictures import CheckedPicture
from clora_core.disk import home_folder
from clora_core.errors import PictureError, SettingsError, StudioError
from clora_core.jobs.requests import BringRequest, DrawRequest, ExportRequest, LearnRequest
from clora_core.settings.drawing import seed_drawn
from clora_core.settings.grid import read_axis
from clora_core.settings.methods import Methods
from clora_core.settings.plugins import known_methods
from clora_core.settings.strength import read_strengths
from clora_core.studio.diagnostics import write_diagnostics
from clora_core.studio.doctor import examine
from clora_core.studio.ending import end_as_by_ctrl_c
from clora_core.studio.progress import ProgressLine, telling
from clora_core.studio.studio import Studio


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default the one that was typed; returns the exit code."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its import-time remarks are not for users
    end_as_by_ctrl_c()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console that lacks a letter of a name shows its number instead
            stream.reconfigure(errors="backslashreplace")
    try:
        methods = known_methods(method_files(arguments))
        chosen = argparse.Namespace(**{**COMMON, **vars(make_parser(methods).parse_args(arguments))})
        commands = {
            "learn": _learn,
            "lessons": _lessons,
            "draw": _draw,
            "timeline": _timeline,
            "trash": _trash,
            "bring": _bring,
            "export": _export,
            "push": _push,
            "doctor": _doctor,
            "bench": _bench,
        }
        result = commands[chosen.command](chosen, methods)
    except (StudioError, OSError) as error:  # OSError: a folder or file that cannot be read or written
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if chosen.json:
        print(json.dumps(to_plain({key: value for key, value in result.items() if key != "text"})))
    elif result["text"]:
        print(result["text"])
    return 0 if result.get("ok", True) else 1


# -------------------------------------------------------------------------------------- commands


def _open(chosen: argparse.Namespace, methods: Methods) -> Studio:
    return Studio.open(home_folder(chosen.home), chosen.model, chosen.device, chosen.precision, methods=methods)


def _learn(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    if not (chosen.resume or chosen.each or chosen.pictures):
        raise SettingsError("learn needs --pictures DIR and --name NAME (or --each DIR, or --resume JOB).")
    if chosen.each and (chosen.pictures or chosen.name or chosen.token):
        raise SettingsError("--each takes pictures and names from the folders in DIR. Give none with it.")
    given = (chosen.pictures, chosen.each, chosen.name, chosen.token, chosen.timeline, chosen.keep_pictures)
    if chosen.resume and (any(given) or chosen_settings(chosen)):
        raise SettingsError(
            "--resume goes on with what was asked for then. Give no pictures, name or settings with it."
        )
    with shared_home(chosen.home, chosen.device) as chosen.home:
        return _learned(chosen, methods)


def _learned(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    """What is asked for is learned."""
    studio, say = _open(chosen, methods), ProgressLine()
    asked: list[str] = []
    try:
        _tell_what_was_left(studio, chosen.resume)
        if chosen.resume:
            asked.append(studio.resume(chosen.resume))
        else:
            config = studio.base.train_with(chosen_settings(chosen))
            timeline_id = chosen.timeline or studio.default_timeline()
            for place in _places(chosen):
                try:
                    with _gathered(place) as found:
                        concept = _concept(studio, chosen, found, timeline_id, place)
                        shown = not chosen.no_real_picture
                        request = LearnRequest(timeline_id, concept, config, chosen.keep_pictures, show_real=shown)
                        asked.append(studio.learn(request))
                except StudioError as error:
                    if not chosen.each:
                        raise
                    print(f"{place.name}: {error}", file=sys.stderr)
            if not asked:
                raise PictureError(f"None of the folders in {chosen.each} can be learned.")
        views = [studio.follow(job_id, telling(say)) for job_id in asked]
    except KeyboardInterrupt:
        if asked:
            print(f"\nGo on later with: {_resume_command(chosen, methods, asked)}", file=sys.stderr)
        raise
    finally:
        studio.close()
    say("")
    return _ended(views[0]) if not chosen.each else _all_ended(views)


def _tell_what_was_left(studio: Studio, but: str | None) -> None:
    """Lessons that wait for a decision, on stderr. but: the one that is decided on now."""
    left = [view for view in studio.lessons.all() if view.resumable and view.id != but]
    if left:
        names = ", ".join(f"{view.name} ({view.id}, {view.state})" for view in left)
        print(f"Not finished: {names}. To go on with them or give them up: lessons --help", file=sys.stderr)


def _lessons(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    studio, say = _open(chosen, methods), ProgressLine()
    try:
        if chosen.discard:
            ids = studio.lessons.discard_all() if chosen.discard == "all" else [chosen.discard]
            if chosen.discard != "all":
                studio.stop(chosen.discard)
            return {"text": f"{count(len(ids), 'lesson')} discarded.", "discarded": ids}
        if chosen.resume or chosen.again:
            ids = studio.lessons.resume_all() if chosen.resume else [studio.resume(chosen.again, afresh=True)]
            views = [studio.follow(job_id, telling(say, job_id)) for job_id in ids]
            say("")
            return _all_ended(views)
        found = studio.lessons.all()
    finally:
        studio.close()
    lines = [
        f"{view.id:12} {view.state:12} {view.token:20} {view.name}"
        + (f", step {view.step} of {view.total}" if view.step else "")
        + (f"\n             {view.message}" if view.message else "")
        for view in found
    ]
    return {"text": "\n".join(lines) or "No lesson is learned or waits.", "lessons": found}


def _all_ended(views: Sequence[JobView]) -> dict[str, Any]:
    """What came of several lessons. Raises StudioError when none was learned."""
    learned = [view for view in views if view.state in ("done", "stopped")]
    lines = [f"{view.name}: {view.message}" for view in views]
    if views and not learned:
        raise StudioError(" ".join(lines))
    return {"text": "\n".join(lines) or "There is nothing to go on with.", "lessons": views}


def _ended(view: JobView) -> dict[str, Any]:
    if view.state not in ("done", "stopped"):
        raise StudioError(view.message)
    return {
        "text": view.message,
        "job": view.id,
        "state": view.state,
        "timeline": view.timeline_id,
        "concept": view.concept_id,
        "token": view.token,
        "seconds": view.seconds,
        "verdict": view.verdict,
        "message": view.message,
    }


def _resume_command(chosen: argparse.Namespace, methods: Methods, asked: Sequence[str]) -> str:
    places = {name: getattr(chosen, name) for name in ("home", "model", "device", "precision")}
    options = [word for name, value in places.items() if value for word in (f"--{name}", str(value))]
    options += [word for file in methods.files for word in ("--method-file", str(file))]
    command = ["learn", *options, "--resume", asked[0]] if len(asked) == 1 else ["lessons", *options, "--resume"]
    return shlex.join(["python", "-m", "clora_core", *command])


@contextmanager
def _gathered(place: Path) -> Iterator[Gathered]:
    """The pictures in a folder or a zip; a zip's lie in a folder of their own until the block ends."""
    if place.is_dir():
        yield gather(place)
    elif place.is_file() and place.suffix.lower() == ZIP_SUFFIX:
        with tempfile.TemporaryDirectory() as folder:
            unpack(place, Path(folder))
            yield gather(Path(folder))
    else:
        raise PictureError(f"{place} is no folder and no zip. Give the one that holds the pictures.")


def _places(chosen: argparse.Namespace) -> list[Path]:
    """Where the pictures of each concept lie: what is given, or every folder and zip of ``--each``."""
    if not chosen.each:
        return [chosen.pictures]
    if not chosen.each.is_dir():
        raise PictureError(f"{chosen.each} is no folder. Give the folder that holds a folder for each concept.")
    inside = [path for path in sorted(chosen.each.iterdir()) if path.name[0] != "."]
    places = [path for path in inside if path.is_dir() or path.suffix.lower() == ZIP_SUFFIX]
    if not places:
        raise PictureError(f"{chosen.each} holds no folders. Make one for each concept, with its name.")
    return places


def _concept(studio: Studio, chosen: argparse.Namespace, found: Gathered, timeline_id: str, place: Path) -> Concept:
    """The concept that is asked for. What there is to know of its pictures is said."""
    name = chosen.name or found.name or (place.stem if chosen.each else "")
    if not name:
        raise SettingsError("learn needs --name NAME: what the concept is called.")
    checked = studio.check_pictures(found.pictures)
    captions = sum(bool(picture.caption) for picture in checked)
    read = f"{count(captions, 'caption')} read, put after the training prompt" if captions else ""
    masks = sum(picture.mask is not None for picture in checked)
    mended = [picture.sentence or f"{picture.path.name}: {picture.note}" for picture in checked if _told(picture)]
    said = [*found.notes, read, f"{count(masks, 'mask')} read" if masks else "", *mended]
    for line in filter(None, [*said, *studio.nearly_same(checked, timeline_id)]):
        print(line, file=sys.stderr)
    return Concept(name, chosen.token or studio.propose_token(name), found.pictures)


def _told(picture: CheckedPicture) -> bool:
    return bool(picture.problem or picture.note)


def _draw(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    if chosen.out and chosen.out.suffix.lower() != ".png":
        raise SettingsError(f"--out {chosen.out} must end in .png: a PNG carries its prompt and settings.")
    studio, say = _open(chosen, methods), ProgressLine()
    try:
        timeline_id = chosen.timeline or studio.default_timeline()
        settings = studio.base.sampling.updated(seed_drawn(chosen_settings(chosen)))
        if pasted := studio.pasted_settings(chosen.prompt):
            names = ", ".join(name for name in pasted if name != "prompt")
            print(f"The prompt holds settings ({names}); they are drawn as words. Give options.", file=sys.stderr)
        axes = tuple(
            read_axis(*text.split("=", 1)) if "=" in text else read_axis(text, "") for text in chosen.grid or ()
        )
        strengths = read_strengths(chosen.strength)
        request = DrawRequest(timeline_id, chosen.prompt, settings, chosen.as_of, strengths, axes)
        if axes:
            number, seconds = studio.draw_estimate(request)
            about = f", about {seconds:.0f} s" if seconds else ""
            print(f"{count(number, 'picture')}{about}", file=sys.stderr)
        pictures = studio.draw_now(request, telling(say))
        notes = studio.prompt_notes(chosen.prompt, timeline_id, chosen.as_of)
    finally:
        studio.close()
    say("")
    for note in notes:
        print(note, file=sys.stderr)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        numbered = [chosen.out.with_stem(f"{chosen.out.stem}-{i}") for i in range(1, len(pictures) + 1)]
        targets = [chosen.out] if len(pictures) == 1 else numbered
        pictures = [Path(shutil.copyfile(picture, target)) for picture, target in zip(pictures, targets, strict=True)]
    return {
        "text": "\n".join(str(path) for path in pictures),
        "pictures": pictures,
        "prompt": chosen.prompt,
        "timeline": timeline_id,
        "as_of": chosen.as_of,
        "strengths": strengths,
        "grid": {axis.kind: axis.values for axis in axes},
        "settings": settings.to_json(),
    }


def _timeline(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    if chosen.concept and not (chosen.rename or chosen.delete):
        raise SettingsError("--concept goes with --rename NAME or --delete.")
    studio = _open(chosen, methods)
    try:
        if chosen.all:
            found = studio.timelines()
            lines = [
                f"{entry.id:24} {entry.concepts:3} concepts  {entry.name}"
                + (f"  ({entry.problem})" if entry.problem else "")
                for entry in found
            ]
            return {"text": "\n".join(lines) or "There is no timeline yet.", "timelines": found}
        if chosen.take_in:
            taken = studio.take_in(chosen.take_in)
            problem = f" It cannot be used now: {taken.problem}." if taken.problem else ""
            return {"text": f"{taken.name} ({taken.id}) is here.{problem}", "timeline": taken}
        timeline_id = chosen.timeline or ("" if chosen.new else studio.default_timeline())
        if chosen.new:
            timeline_id = studio.new_timeline(chosen.new)
        elif chosen.branch:
            timeline_id = studio.branch(timeline_id, _whole(chosen.branch[0]), chosen.branch[1])
        elif chosen.undo:
            studio.undo(timeline_id)
        elif chosen.redo:
            studio.redo(timeline_id)
        elif chosen.rename and chosen.concept:
            studio.rename_concept(timeline_id, _concept_id(studio, timeline_id, chosen.concept), chosen.rename)
        elif chosen.rename:
            studio.rename_timeline(timeline_id, chosen.rename)
        elif chosen.delete and not chosen.concept:
            item = studio.trash.delete_timeline(timeline_id)
            return {"text": f"{timeline_id} is in the trash. {_bring_back(item)}", "trashed": item}
        elif chosen.delete:
            item = studio.trash.delete_concept(timeline_id, _concept_id(studio, timeline_id, chosen.concept))
            said = (
                f"is in the trash. {_bring_back(item)}"
                if item
                else "was the last, so it is undone. Redo brings it back."
            )
            view = studio.timeline(timeline_id)
            return {"text": f"{_words(view)}\n{chosen.concept} {said}", "timeline": view, "trashed": item}
        view = studio.timeline(timeline_id)
        return {"text": _words(view), "timeline": view}
    finally:
        studio.close()


def _concept_id(studio: Studio, timeline_id: str, token: str) -> str:
    cards = studio.timeline(timeline_id).cards
    found = next((card.id for card in cards if card.token == token.lower()), None)
    if found is None:
        tokens = ", ".join(card.token for card in cards) or "none"
        raise SettingsError(f"{token!r} is no token of this timeline. There are: {tokens}.")
    return found


def _bring_back(item: str) -> str:
    return f"Bring it back with: trash --restore {shlex.quote(item)}"


def _trash(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    studio = _open(chosen, methods)
    try:
        if chosen.restore:
            item = studio.trash.restore(chosen.restore)
            return {"text": f"The {item.kind} {item.name} is back.", "restored": item}
        if chosen.empty:
            studio.trash.empty()
        items = studio.trash.items()
    finally:
        studio.close()
    lines = [f"{i.id}  {i.kind} {i.name}{f' of {i.place}' if i.place else ''}, {i.days_left} days left" for i in items]
    return {"text": "\n".join(lines) or "The trash is empty.", "trash": items}


def _export(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    studio, say = _open(chosen, methods), ProgressLine()
    try:
        timeline_id = chosen.timeline or studio.default_timeline()
        if chosen.format == "timeline":
            studio.archive(timeline_id, chosen.out, chosen.as_of, chosen.pictures)
            text = f"{chosen.out}\nTake it in elsewhere: timeline --import {shlex.quote(chosen.out.name)}"
            return {"text": text, "timeline": timeline_id, "file": chosen.out}
        place, how = chosen.out.resolve(), (chosen.format, chosen.rank)
        request = ExportRequest(timeline_id, chosen.as_of, chosen.dtype, place, *how)
        made = studio.export_now(request, telling(say))
    finally:
        studio.close()
    say("")
    proof = "Proved" if made.proved else "Reduced" if made.lost else "NOT proved"
    said = f"{proof}: pixels differ by {made.difference:.1e} of their range at most; {made.tolerance:g} is allowed."
    said += f" At this rank {made.lost:.1%} of the weights is lost, by their norm." if made.lost else ""
    return {"text": "\n".join([*map(str, made.files), said]), "timeline": timeline_id, **to_plain(made)}


def _push(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    from clora_core.export.push import check_repository, push, write_model_card

    check_repository(chosen.repository)
    studio, say = _open(chosen, methods), ProgressLine()
    with tempfile.TemporaryDirectory(prefix="clora-push-") as temporary:
        folder = (chosen.dry_run or Path(temporary) / "files").resolve()
        try:
            timeline_id = chosen.timeline or studio.default_timeline()
            request = ExportRequest(timeline_id, chosen.as_of, chosen.dtype, folder, chosen.format)
            made, view, base = studio.export_now(request, telling(say)), studio.timeline(timeline_id), studio.base
        finally:
            studio.close()
        say("")
        if not made.proved:
            raise SettingsError(
                "The files do not draw what the Studio draws, so they are not for others. Try --dtype fp32."
            )
        write_model_card(made, view, methods.title(view.method), base, chosen.as_of)
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        if chosen.dry_run:
            text = "\n".join([*(str(folder / name) for name in files), "Nothing was sent."])
            return {"text": text, "timeline": timeline_id, "files": files, "address": ""}
        address = push(folder, chosen.repository, chosen.private)
    return {"text": address, "timeline": timeline_id, "files": files, "address": address}


def _bring(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    studio, say = _open(chosen, methods), ProgressLine()
    try:
        files = [file for file in (chosen.lora, chosen.embedding) if file]
        name = chosen.name or (files[0].stem[:MAX_NAME_LENGTH] if files else "")
        if not name:
            raise SettingsError("bring needs a FILE, or --embedding FILE.")
        template = {"template": chosen.template} if chosen.template else {}
        concept = Concept(name, chosen.token or studio.propose_token(name), (), **template)
        timeline_id, lora = chosen.timeline or studio.default_timeline(), chosen.lora and chosen.lora.resolve()
        embedding = chosen.embedding and chosen.embedding.resolve()
        request = BringRequest(timeline_id, concept, lora, embedding, chosen.word, chosen.leave_out)
        view = studio.bring_now(request, telling(say))
        card = studio.timeline(timeline_id).cards[-1]
    finally:
        studio.close()
    say("")
    left = what_is_left(card.brought.left_out) if card.brought else ""
    return {**_ended(view), "text": f"{view.message}{f' Left out: {left}.' if left else ''}", "brought": card.brought}


def _doctor(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    marks = {"good": "ok  ", "note": "note", "bad": "BAD "}
    findings = []
    for finding in examine(home_folder(chosen.home), chosen.model, chosen.device, chosen.precision):
        findings.append(finding)
        if not chosen.json:
            print(f"{marks[finding.state]}  {finding.what}: {finding.found}")
            if finding.remedy:
                print(f"      {finding.remedy}")
    if chosen.archive:
        write_diagnostics(chosen.archive, home_folder(chosen.home), findings)
    return {
        "text": str(chosen.archive or ""),
        "findings": findings,
        "ok": all(finding.state != "bad" for finding in findings),
    }


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise SettingsError(f"--branch needs a number of concepts first, got {text!r}.")
    return int(text)


def _words(view: TimelineView) -> str:
    lines = [f"{view.name} ({view.id}), {view.method}"]
    lines += [
        f"{card.index:3}  {card.token:20} {card.name:24} "
        + (f"brought in from {card.brought.source}" if card.brought else f"{card.steps} steps, {card.seconds:.0f} s")
        for card in view.cards
    ] or ["  no concepts yet"]
    lines += [f"  undone: {card.token} {card.name}" for card in view.undone]
    return "\n".join(lines)


def _bench(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    try:
        from clora_core.cli.bench import bench
    except ModuleNotFoundError as error:  # what only measuring needs
        raise SettingsError(
            f"bench needs {error.name}, which is not installed. Install it with: "
            "python -m pip install -r requirements-dev.txt"
        ) from None
    return bench(chosen, methods)
