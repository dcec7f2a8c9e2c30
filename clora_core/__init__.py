"""C-LoRA Studio's core: teach a text-to-image model one concept after another, and draw any of them."""

__version__ = "0.1.0"
