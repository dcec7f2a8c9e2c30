"""The fixtures of ``browser.visitor``, where there is a Playwright; without one every test here is skipped."""

from importlib.util import find_spec

if find_spec("playwright"):
    from browser.visitor import browser, place, studio, url, visit

    __all__ = ["browser", "place", "studio", "url", "visit"]
