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
        known = self._known(timeline_id)
        found = {}
        for card in self._store.view(timeline_id, self._base().id, as_of).cards:
            real = self._features_of(tuple(known.get(card.token, ())))
            drawn = self._features_of((card.now_picture,)) if card.now_picture else None
            if real is not None and drawn is not None:
                found[card.token] = float(real @ drawn)
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
