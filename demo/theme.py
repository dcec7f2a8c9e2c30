"""The look: warm paper, ink, one signal colour (persimmon) for the new and teal for the older concepts.

Fonts come from the system stack, so the page needs no network. Everything the style sheet uses is a
theme variable: dark and light are decided here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

STYLE_SHEET = Path(__file__).with_name("style.css")
SCRIPT = Path(__file__).with_name("page.js")


def head() -> str:
    """What stands in the page's head: its script."""
    return f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"


PERSIMMON = colors.Color(
    name="persimmon",
    c50="#fff4ef",
    c100="#ffe4d9",
    c200="#ffc8b4",
    c300="#ffa384",
    c400="#f97d55",
    c500="#e65c32",
    c600="#c54520",
    c700="#a03719",
    c800="#7f2d18",
    c900="#672817",
    c950="#38120a",
)
TEAL = colors.Color(
    name="teal",
    c50="#edf8f8",
    c100="#d3eeef",
    c200="#aadde0",
    c300="#76c4c9",
    c400="#43a4ab",
    c500="#238891",
    c600="#1a6e77",
    c700="#195961",
    c800="#1a484f",
    c900="#1a3c43",
    c950="#0a252b",
)
PAPER = colors.Color(
    name="paper",
    c50="#faf8f4",
    c100="#f3efe8",
    c200="#e8e2d8",
    c300="#d6cec1",
    c400="#a79e90",
    c500="#776f63",
    c600="#5c554b",
    c700="#443e36",
    c800="#2f2a25",
    c900="#1e1b18",
    c950="#161412",
)
SANS = (
    "ui-sans-serif",
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
)
MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Menlo", "Consolas", "Liberation Mono", "monospace")


class StudioTheme(gr.themes.Base):
    """Own colours, own spacing, system fonts; see the module docstring."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=PERSIMMON,
            secondary_hue=TEAL,
            neutral_hue=PAPER,
            text_size=sizes.text_md,
            spacing_size=sizes.spacing_md,
            radius_size=sizes.radius_lg,
            font=SANS,
            font_mono=MONO,
        )
        self.name = "clora-studio"
        # one call: each ``set`` puts back to the default what it is not given
        self.set(**_surfaces(), **_inputs(), **_buttons())


def _surfaces() -> dict[str, str]:
    return {
        "body_background_fill": "*neutral_50",
        "body_background_fill_dark": "*neutral_950",
        "body_text_color": "*neutral_900",
        "body_text_color_dark": "*neutral_100",
        "body_text_color_subdued": "*neutral_600",
        "body_text_color_subdued_dark": "*neutral_400",
        "background_fill_primary": "#ffffff",
        "background_fill_primary_dark": "#221f1b",
        "background_fill_secondary": "*neutral_100",
        "background_fill_secondary_dark": "#312c26",
        "border_color_primary": "*neutral_200",
        "border_color_primary_dark": "#3a352e",
        "border_color_accent": "*primary_400",
        "border_color_accent_dark": "*primary_500",
        "color_accent": "*primary_600",
        "color_accent_soft": "*primary_50",
        "color_accent_soft_dark": "#33211a",
        "link_text_color": "*primary_700",
        "link_text_color_dark": "*primary_300",
        "link_text_color_hover": "*primary_800",
        "link_text_color_hover_dark": "*primary_200",
        "block_background_fill": "transparent",
        "block_background_fill_dark": "transparent",
        "block_border_width": "0px",
        "block_border_width_dark": "0px",
        "block_shadow": "none",
        "block_shadow_dark": "none",
        "block_padding": "0px",
        "block_radius": "12px",
        "block_label_background_fill": "transparent",
        "block_label_background_fill_dark": "transparent",
        "block_title_text_color": "*neutral_800",
        "block_title_text_color_dark": "*neutral_200",
        "block_title_text_weight": "600",
        "block_title_text_size": "*text_sm",
        "block_label_text_color": "*neutral_700",
        "block_label_text_color_dark": "*neutral_300",
        "block_info_text_color": "*neutral_600",
        "block_info_text_color_dark": "*neutral_400",
        "block_info_text_size": "*text_sm",
        "panel_background_fill": "#ffffff",
        "panel_background_fill_dark": "#221f1b",
        "panel_border_width": "1px",
        "panel_border_width_dark": "1px",
        "panel_border_color": "*neutral_200",
        "panel_border_color_dark": "#3a352e",
        "form_gap_width": "0px",
        "layout_gap": "20px",
    }


def _inputs() -> dict[str, str]:
    return {
        "input_background_fill": "*neutral_50",
        "input_background_fill_dark": "*neutral_950",
        "input_background_fill_focus": "#ffffff",
        "input_background_fill_focus_dark": "*neutral_950",
        "input_border_width": "1px",
        "input_border_width_dark": "1px",
        "input_border_color": "*neutral_300",
        "input_border_color_dark": "*neutral_700",
        "input_border_color_focus": "*primary_500",
        "input_border_color_focus_dark": "*primary_400",
        "input_placeholder_color": "*neutral_500",
        "input_placeholder_color_dark": "*neutral_500",
        "input_shadow": "none",
        "input_shadow_dark": "none",
        "input_shadow_focus": "0 0 0 3px *primary_100",
        "input_shadow_focus_dark": "0 0 0 3px *primary_900",
        "input_padding": "10px 12px",
        "input_radius": "10px",
        "slider_color": "*primary_600",
        "slider_color_dark": "*primary_400",
        "checkbox_background_color_selected": "*primary_600",
        "checkbox_background_color_selected_dark": "*primary_500",
        "checkbox_border_color": "*neutral_400",
        "checkbox_border_color_dark": "*neutral_600",
        "checkbox_label_background_fill": "*neutral_50",
        "checkbox_label_background_fill_dark": "*neutral_950",
        "checkbox_label_border_color": "*neutral_300",
        "checkbox_label_border_color_dark": "*neutral_700",
        "checkbox_label_border_width": "1px",
        "checkbox_label_border_width_dark": "1px",
        "checkbox_label_background_fill_selected": "*primary_50",
        "checkbox_label_background_fill_selected_dark": "#33211a",
        "loader_color": "*primary_600",
        "loader_color_dark": "*primary_400",
    }


def _buttons() -> dict[str, str]:
    return {
        "button_primary_background_fill": "*primary_600",
        "button_primary_background_fill_dark": "*primary_400",
        "button_primary_background_fill_hover": "*primary_700",
        "button_primary_background_fill_hover_dark": "*primary_300",
        "button_primary_text_color": "#ffffff",
        "button_primary_text_color_dark": "*primary_950",
        "button_secondary_background_fill": "#ffffff",
        "button_secondary_background_fill_dark": "*neutral_800",
        "button_secondary_background_fill_hover": "*neutral_100",
        "button_secondary_background_fill_hover_dark": "*neutral_700",
        "button_secondary_border_color": "*neutral_300",
        "button_secondary_border_color_dark": "*neutral_700",
        "button_secondary_text_color": "*neutral_800",
        "button_secondary_text_color_dark": "*neutral_100",
        "button_cancel_background_fill": "#ffffff",
        "button_cancel_background_fill_dark": "*neutral_800",
        "button_cancel_background_fill_hover": "#fdecec",
        "button_cancel_background_fill_hover_dark": "#3a1a1a",
        "button_cancel_border_color": "#e3b6b6",
        "button_cancel_border_color_dark": "#6d3535",
        "button_cancel_text_color": "#a12626",
        "button_cancel_text_color_dark": "#f3a3a3",
        "button_border_width": "1px",
        "button_border_width_dark": "1px",
        "button_large_radius": "10px",
        "button_medium_radius": "10px",
        "button_small_radius": "8px",
        "button_large_text_weight": "600",
        "button_medium_text_weight": "600",
        "button_small_text_weight": "600",
        "button_large_padding": "11px 20px",
        "button_medium_padding": "9px 16px",
        "button_small_padding": "6px 12px",
    }
