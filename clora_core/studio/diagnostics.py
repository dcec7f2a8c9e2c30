"""One file to show to whoever helps: what the doctor found, versions, defaults, and how the last jobs ended.

No picture is in it, no prompt and no weights. Log and messages may hold names of concepts.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from clora_core.disk import read_json, refused, replacing
from clora_core.errors import StoreError
from clora_core.studio.doctor import Finding

JOBS = 10
LOG_BYTES = 50_000  # the end of each
KEPT = ("id", "kind", "state", "step", "total", "seconds", "phase", "message", "memory", "fit", "memory_mb", "ended")
SECRETS = re.compile(r"hf_\w+|(?<=://)[^/\s@]+@")  # a token of the Hub, a password in an address


def write_diagnostics(file: Path, home: Path, findings: Sequence[Finding]) -> None:
    """Write the zip ``file`` about a home. Raises DiskError or StoreError when it cannot be written."""
    try:
        with replacing(file) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in _texts(home, findings):
                archive.writestr(name, _without_secrets(text))
    except OSError as error:
        raise refused(f"{file} could not be written", error) from error


def _texts(home: Path, findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """Name and text of every part."""
    yield "doctor.txt", "\n".join(f"{f.state}  {f.what}: {f.found} {f.remedy}".rstrip() for f in findings)
    yield "packages.txt", "\n".join(sorted({f"{found.name}=={found.version}" for found in distributions()}))
    with suppress(StoreError):
        yield "defaults.json", json.dumps(read_json(home / "defaults.json"), indent=1)
    jobs = [path for path in (home / "jobs").glob("[0-9]*-*") if path.name.split("-")[0].isdecimal()]
    for job in sorted(jobs, key=lambda path: int(path.name.split("-")[0]))[-JOBS:]:
        try:
            yield f"{job.name}.json", json.dumps(_plain(read_json(job / "job.json")), indent=1)
        except StoreError as error:
            yield f"{job.name}.json", str(error)
        with suppress(OSError):
            if (job / "log.txt").is_file():
                yield f"{job.name}.log", (job / "log.txt").read_bytes()[-LOG_BYTES:].decode("utf-8", "replace")


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a job says of itself, and its settings but for those that somebody wrote in words."""
    found = {key: record[key] for key in KEPT if key in record}
    request = record.get("request")
    settings = request.get("config") or request.get("settings") if isinstance(request, dict) else None
    if isinstance(settings, dict):
        words = ("prior_prompt", "preview_prompt", "negative_prompt", "object_word", "token_start")
        found["settings"] = {key: value for key, value in settings.items() if key not in words}
    return found


def _without_secrets(text: str) -> str:
    return SECRETS.sub("...", text.replace(str(Path.home()), "~"))
