"""Generative replay (Shin et al., NeurIPS 2017, arXiv 1705.08690) with one LoRA trained on and on.

Before it learns concept t, the model draws `replay_pictures` pictures of every earlier concept by its own
prompt, as it knows it then, and learns from them along with the new ones. No old picture is kept; what was
drawn wrongly is learned wrongly. So they are drawn without guidance by default (`replay_guidance`): what
guidance adds would be learned, and added again for the next concept.
"""

from __future__ import annotations

from clora_core.concepts import Timeline, filled
from clora_core.data.dataset import View, plain_view
from clora_core.methods.base import Draw
from clora_core.methods.sequential import Sequential
from clora_core.settings.methods import ReplayOptions


class GenerativeReplay(Sequential):
    """Sequential LoRA that also looks at its own memories."""

    options: ReplayOptions

    def drawn_views(self, timeline: Timeline, draw: Draw) -> list[View]:
        """Pictures of each earlier concept, besides those of prior preservation."""
        views = super().drawn_views(timeline, draw)
        for concept in timeline.concepts:
            prompt = filled(concept.template, concept.token)
            images = draw(timeline, prompt, self.options.replay_pictures, self.options.replay_guidance)
            views += [plain_view(image, prompt) for image in images]
        return views
