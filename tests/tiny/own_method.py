"""A method of somebody else's, as one writes it: C-LoRA's pairs held small, one row, one class."""

from dataclasses import dataclass

from clora_core.methods import LowRankMethod
from clora_core.settings.fields import setting
from clora_core.settings.methods import LowRankOptions, MethodRow


@dataclass(frozen=True)
class SmallOptions(LowRankOptions):
    size_weight: float = setting(0.5, "Size weight", "Larger keeps every change smaller.", minimum=0.0)


class Small(LowRankMethod):
    """size_weight * sum ||A B||^2 beside the loss."""

    options: SmallOptions

    def penalty(self):
        return self.options.size_weight * sum((a @ b).square().sum() for a, b in self.weights.pairs.values())


METHOD = MethodRow("small", "Small LoRAs", "Every change is kept small.", Small, SmallOptions, penalised=True)
