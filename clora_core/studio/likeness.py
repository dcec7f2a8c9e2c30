"""How much the drawn pictures of stored concepts look like the real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from clora_core.data.pictures import Opening, open_pictures, usable
from clora_core.models.description import BaseModel
from clora_core.store.store import ConceptStore
from clora_core.verdict import LOOK_ALIKE

if TYPE_CHECKING:
    from clora_core.measures.attributes import AttributeNetwork
    from clora_core.measures.features import Array


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
        reals, cards = self._reals(timeline_id), self._store.view(timeline_id, self._base().id, as_of).cards
        then = {card.token: card.verdict.likeness if card.verdict else None for card in cards}
        return (
            self._likeness({card.token: card.learned_picture for card in cards}, reals, then),
            self._likeness(
                {card.token: card.now_picture for card in cards}, reals, {c.token: c.likeness for c in cards}
            ),
        )

    def _likeness(
        self, drawn: Mapping[str, Path | None], reals: Mapping[str, Array], stored: Mapping[str, float | None]
    ) -> dict[str, float]:
        """By token; where the network cannot tell, what was ``stored`` when it was learned."""
        found = {}
        for token, picture in drawn.items():
            own = self._features_of((picture,)) if picture and token in reals else None
            figure = float(reals[token] @ own) if own is not None else stored[token]
            if figure is not None:
                found[token] = figure
        return found

    def warnings(self, timeline_id: str, paths: Sequence[Path | str]) -> list[str]:
        """What to know before these pictures are learned in this timeline: that they are far from anything the model
        draws, or look like a concept that is there. [] without a network of the model's own; no lesson is disturbed."""
        network = self._network
        images = usable(open_pictures(paths, 1, self._opening)).images if network else ()
        if network is None or not images:
            return []
        from clora_core.measures.likeness import far_off, likeness, mean_features

        if far_off(network, images):
            draws = self._base().draws
            kind = f" It draws {draws}." if draws else ""
            return [f"These pictures are far from anything this model can draw.{kind} Expect them not to come out."]
        mean = mean_features(network, images)
        alike = [(likeness(mean, other), token) for token, other in self._reals(timeline_id).items()]
        like = [f"{score:.2f} like {token}" for score, token in sorted(alike, reverse=True) if score >= LOOK_ALIKE]
        return [f"They look {' and '.join(like)}: expect them to be taken for each other."] if like else []

    def _reals(self, timeline_id: str) -> dict[str, Array]:
        """By token, the mean features of the real pictures, as they were kept, else of pictures that are at hand."""
        network = self._network
        if network is None:
            return {}
        looks = self._store.looks(timeline_id)
        cards = self._store.view(timeline_id).cards
        kept = {c.token: looks[c.id].mean for c in cards if c.id in looks and looks[c.id].network == network.name}
        known = self._known(timeline_id) if len(kept) < len(cards) else {}
        at_hand = {token: self._features_of(tuple(paths)) for token, paths in known.items() if token not in kept}
        return kept | {token: mean for token, mean in at_hand.items() if mean is not None}

    @cached_property
    def _network(self) -> AttributeNetwork | None:
        from clora_core.measures.likeness import small_network

        return small_network(self._base().path)

    def _look(self, paths: tuple[Path, ...]) -> Array | None:
        """The mean features of these files, which never change; None without a network, or where none can be read."""
        images = usable(open_pictures(paths, 1, self._opening)).images
        if not images or self._network is None:
            return None
        from clora_core.measures.likeness import mean_features

        return mean_features(self._network, images)
