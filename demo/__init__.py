"""The web page of C-LoRA Studio: the only place with Gradio, and no torch."""
