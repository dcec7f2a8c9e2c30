"""How much the drawn pictures of stored concepts look like the real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from clora_core.data.pictures import Opening, open_pictures, usable
from clora_core.models.description import BaseModel
from clora_core.store.store import ConceptStore

if TYPE_CHECKING:
    from clora_core.measures.features import Array, Features


class Likenesses:
    """Compares stored concepts' pictures; ``Studio.likeness`` is one. It never waits for the model."""

    def __init__(
        self,
        store: ConceptStore,
        base: Callable[[], BaseModel],
        known: Callable[[str], Mapping[str, Sequence[Path]]],
        opening: Opening,
    ) -> None:
        """known: timeline id -> by token, the real pictures that are at hand (``Comparisons.pictures``)."""
        self._store, self._base, self._known, self._opening = store, base, known, opening
        self._features_of = lru_cache(512)(self._look)

    def of(self, timeline_id: str, as_of: int | None = None) -> dict[str, float]:
        """By token, how much a concept as it is drawn after ``as_of`` concepts (None = today) looks like its real
        pictures: the cosine of their features, 1 at most. Without those where it is not known. Raises StoreError when
        there is no such timeline."""
        return self.then_and_now(timeline_id, as_of)[1]

    def then_and_now(self, timeline_id: str, as_of: int | None = None) -> tuple[dict[str, float], dict[str, float]]:
        """Both ``of`` the pictures that were drawn when each concept had just been learned, and ``of`` those of
        today."""
        known, cards = self._known(timeline_id), self._store.view(timeline_id, self._base().id, as_of).cards
        return (
            self._likeness({card.token: card.learned_picture for card in cards}, known),
            self._likeness({card.token: card.now_picture for card in cards}, known),
        )

    def _likeness(self, drawn: Mapping[str, Path | None], known: Mapping[str, Sequence[Path]]) -> dict[str, float]:
        found = {}
        for token, picture in drawn.items():
            real = self._features_of(tuple(known.get(token, ())))
            own = self._features_of((picture,)) if picture else None
            if real is not None and own is not None:
                found[token] = float(real @ own)
        return found

    @cached_property
    def _network(self) -> Features | None:
        from clora_core.measures.likeness import small_network

        return small_network(self._base().path)

    def _look(self, paths: tuple[Path, ...]) -> Array | None:
        """The mean features of these files, which never change; None without a network, or where none can be read."""
        images = usable(open_pictures(paths, 1, self._opening)).images
        if not images or self._network is None:
            return None
        from clora_core.measures.likeness import mean_features

        return mean_features(self._network, images)
