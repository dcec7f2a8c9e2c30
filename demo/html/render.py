"""Values -> HTML, through the Jinja2 templates in this folder, one a view.

Every text a template is given is escaped there; HTML that a template made passes as it is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clora_core.answers import count
from clora_core.verdict import HARDLY, PLAINLY, health
from demo.html import words


@cache
def _templates() -> Environment:
    """The templates, and the words they may use beside their values."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,  # a name that no value has is a mistake, not an empty text
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"count": count, "hardly": HARDLY, "plainly": PLAINLY}
    environment.filters["address"] = words.picture_url
    environment.filters["thumbnail"] = words.thumbnail
    environment.filters["small"] = words.small
    environment.filters["duration"] = words.duration
    environment.filters["ago"] = words.ago
    environment.filters["percent"] = words.percent
    environment.filters["bytes"] = words.size
    environment.filters["health"] = health
    return environment


def render(view: str, **values: object) -> Markup:
    """``view``.html with these values.

    Raises:
        jinja2.UndefinedError: the template asks for a value that was not given.
    """
    return Markup(_templates().get_template(f"{view}.html").render(values).strip())
