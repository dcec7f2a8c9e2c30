"""Bringing what another programme has learned into a timeline: stored as a concept, and drawn like one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clora_core.bring.asked import check_asked
from clora_core.bring.bring import brought_concept
from clora_core.jobs.check import Loaded, check_learned
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import BringRequest
from clora_core.seeds import generator_for
from clora_core.store.store import ConceptStore

BRING_FIRST = (
    "To have back what is lost, undo. Bring it into a timeline of its own first and learn the others after it, or use "
    "routed LoRAs, where each is drawn apart."
)


def bring(model: Loaded, job: Job, store: ConceptStore) -> dict[str, Any]:
    """Bring in what ``job`` asks for, draw it and every older concept, store it; returns the job's last changes.

    Raises StudioError: it cannot be had, or the timeline has changed meanwhile. Nothing is stored then.
    """
    request = job.request
    assert isinstance(request, BringRequest)
    job.update(phase="reading the files")
    before, files = store.load(request.timeline_id, model.base.id), (request.lora, request.embedding)
    check_asked(before.method, *files, request.word, request.leave_out)
    word, leave_out = request.word.strip(), request.leave_out
    found = brought_concept(model.backbone, model.base, before.method, request.concept, *files, word, leave_out)
    learned = replace(found, id=store.next_id(before.id, found.name))
    start = generator_for(learned.config.seed, "start", learned.token)
    unknown = {name: table.random_start(start) for name, table in model.backbone.tables.items()}
    verdict, drawn = check_learned(model, job, store, before, learned, unknown)
    stored = store.append(before, learned, drawn, verdict, base_source=model.base.source)
    assert stored.brought
    said = [
        f"{stored.name} is brought in from {stored.brought.source}: write {stored.token} in a prompt.",
        f"Its picture differs by {verdict.differs_from_base:.0%} from what the prompt drew before; there are no real "
        "ones to compare it with.",
        verdict.older(BRING_FIRST),
    ]
    pictures = [str(path) for name, path in store.drawn(before.id, stored.id).items() if name == stored.id]
    message = " ".join(filter(None, said))
    return {"verdict": verdict.to_json(), "pictures": pictures, "message": message, "concept_id": stored.id}
