"""C-LoRA Studio's core: teach a text-to-image model one concept after another, and draw any of them.

The public names, each where it is written. Each is imported when it is first asked for: ``import clora_core`` loads
no torch, so that the page and ``clora --help`` open at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0.dev0"

_PUBLIC = {  # name -> the module it is written in
    "Concept": "concepts",
    "LearnedConcept": "concepts",
    "Timeline": "concepts",
    "TrainStep": "concepts",
    "ASSETS": "disk",
    "generate": "drawing.generate",
    "StudioError": "errors",
    "BringRequest": "jobs.requests",
    "CompareRequest": "jobs.requests",
    "DrawRequest": "jobs.requests",
    "LearnRequest": "jobs.requests",
    "train_concept": "learning.trainer",
    "LowRankMethod": "methods",
    "Method": "methods",
    "Backbone": "models.backbone",
    "read_base": "models.description",
    "load_backbone": "models.loading",
    "SamplingConfig": "settings.drawing",
    "TrainConfig": "settings.learning",
    "MethodRow": "settings.methods",
    "known_methods": "settings.plugins",
    "ConceptStore": "store.store",
    "Studio": "studio.studio",
}
__all__ = list(_PUBLIC)

if TYPE_CHECKING:  # the same for mypy and editors
    from clora_core.concepts import Concept as Concept
    from clora_core.concepts import LearnedConcept as LearnedConcept
    from clora_core.concepts import Timeline as Timeline
    from clora_core.concepts import TrainStep as TrainStep
    from clora_core.disk import ASSETS as ASSETS
    from clora_core.drawing.generate import generate as generate
    from clora_core.errors import StudioError as StudioError
    from clora_core.jobs.requests import BringRequest as BringRequest
    from clora_core.jobs.requests import CompareRequest as CompareRequest
    from clora_core.jobs.requests import DrawRequest as DrawRequest
    from clora_core.jobs.requests import LearnRequest as LearnRequest
    from clora_core.learning.trainer import train_concept as train_concept
    from clora_core.methods import LowRankMethod as LowRankMethod
    from clora_core.methods import Method as Method
    from clora_core.models.backbone import Backbone as Backbone
    from clora_core.models.description import read_base as read_base
    from clora_core.models.loading import load_backbone as load_backbone
    from clora_core.settings.drawing import SamplingConfig as SamplingConfig
    from clora_core.settings.learning import TrainConfig as TrainConfig
    from clora_core.settings.methods import MethodRow as MethodRow
    from clora_core.settings.plugins import known_methods as known_methods
    from clora_core.store.store import ConceptStore as ConceptStore
    from clora_core.studio.studio import Studio as Studio
else:

    def __getattr__(name: str) -> object:
        if name not in _PUBLIC:
            raise AttributeError(f"clora_core has no {name!r}; it has {', '.join(_PUBLIC)}")
        return getattr(import_module(f"clora_core.{_PUBLIC[name]}"), name)
