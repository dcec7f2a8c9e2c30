"""What Compare says and marks, from the sides alone."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from clora_core.answers import Card, Side, TimelineSummary, TimelineView
from clora_core.settings.methods import BUILT_IN
from demo.html import compare as compare_html
from demo.tabs.compare import _selected


def flat(html: str) -> str:
    """Without the spaces and line ends between tags, and one for any other run of them."""
    return re.sub(r"\s+", " ", re.sub(r"\s*(</?t\w+[^>]*>)\s*", r"\1", str(html)))


def side(title: str, changed: float, kept: int = 0, fading: int = 0, lost: int = 0, like: float | None = None) -> Side:
    cards = [
        Card(i, f"{i:03d}", name, f"<{name.lower()}>", "", 1.0, 1, 3, None, None, changed, {})
        for i, name in enumerate(("Ann", "Bob"), 1)
    ]
    view = TimelineView(title.lower(), title, "clora", tuple(cards), ())
    likeness = {} if like is None else dict.fromkeys(("<ann>", "<bob>"), like)
    return Side(
        view,
        title,
        ((0.0,), (changed, 0.0)),
        changed,
        kept,
        fading,
        lost,
        60.0,
        2.0,
        dict.fromkeys(likeness, 0.9),
        likeness,
    )


GOOD, POOR = side("C-LoRA", 0.05, kept=1), side("Sequential", 0.6, lost=1)
MIDDLE = side("Stacked", 0.3, fading=1)


def test_the_headline_names_where_more_changed() -> None:
    two = flat(compare_html.headline([GOOD, POOR]))
    assert "<b>Older pictures changed more under Sequential:</b> by 60%, under C-LoRA by 5%." in two
    assert flat(compare_html.headline([POOR, GOOD])) == two
    three = flat(compare_html.headline([GOOD, POOR, MIDDLE], ["Cy"]))
    assert "changed most under Sequential:" in three and "least under C-LoRA" in three and "Cy came later" in three
    assert "Stacked" not in three


@pytest.mark.parametrize(
    ("likeness", "nearer"), [((0.6, 0.8), "Sequential"), ((0.8, 0.6), "C-LoRA"), ((0.7, 0.71), ""), ((0.7, None), "")]
)
def test_what_changed_less_is_not_what_looks_more_like_the_real_ones(
    likeness: tuple[float | None, ...], nearer: str
) -> None:
    sides = [side("C-LoRA", 0.05, like=likeness[0]), side("Sequential", 0.6, like=likeness[1])]
    said = flat(compare_html.headline(sides))
    assert re.findall("like the real ones under ([^:]+):", said) == ([nearer] if nearer else [])
    assert ("under C-LoRA 0.70" in said) == (likeness == (0.7, 0.71)) and "forg" not in said
    assert ("look" in said) == (nearer != "" or likeness[1] is None)
    rows = flat(compare_html.measures(sides, sides[1], "Ann", BUILT_IN))
    assert ("likeness" in rows) and (" class=cl-best>0.80" in rows) == (nearer != "")
    grid = flat(compare_html.versus(sides, "<ann>", sides[1], {}))
    assert grid.count("like 0.90") == sum(2 for like in likeness if like)


def test_of_sides_with_unequal_effort_none_is_called_better() -> None:
    quick = replace(
        POOR, timeline=replace(POOR.timeline, cards=tuple(replace(c, steps=12) for c in POOR.timeline.cards))
    )
    said = flat(compare_html.headline([GOOD, quick]))
    assert "Not a fair comparison" in said and "C-LoRA 1, Sequential 12." in said and "changed more" not in said
    near, far = (
        replace(each, likeness_now={"<ann>": like}, likeness_then={}) for each, like in ((quick, 0.9), (GOOD, 0.4))
    )
    assert "more like" not in flat(compare_html.headline([far, near]))
    assert "cl-best" not in compare_html.measures([far, near], near, "Ann", BUILT_IN)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ((0.0, 0.001), "Older pictures hardly changed</b> under either"),
        ((0.0, 0.0, 0.001), "Older pictures hardly changed</b> under any"),
        ((0.3, 0.3), "changed the older pictures alike"),
        ((0.3, math.nan), "Pictures are missing under B"),
    ],
)
def test_the_headline_claims_no_difference_that_is_not_there(changed: tuple[float, ...], words: str) -> None:
    sides = [side(name, value) for name, value in zip("ABC", changed, strict=False)]
    assert words in flat(compare_html.headline(sides))


def test_the_better_figure_is_marked_and_a_tie_is_not() -> None:
    text = flat(compare_html.measures([POOR, GOOD, MIDDLE], GOOD, "Ann", BUILT_IN))
    assert "Ann now: Sequential on the left, C-LoRA on the right" in text
    rows = {
        re.sub(" ?<.*", "", row): re.findall(r"<td( class=cl-best)?>([^<]*)", row)
        for row in text.split('<th scope="row">')[1:]
    }
    assert rows["older pictures changed by"] == [("", "60.0%"), (" class=cl-best", "5.0%"), ("", "30.0%")]
    assert not any("likeness" in row for row in rows)  # it is not known of any
    assert {mark for mark, _ in rows["size on disk"]} == {""}
    assert rows["steps a concept"] == [("", "1")] * 3
    same = compare_html.measures([GOOD, replace(GOOD, title="Other")], GOOD, "Ann", BUILT_IN)
    assert "cl-best" not in same
    unknown = compare_html.measures([GOOD, side("Other", math.nan)], GOOD, "Ann", BUILT_IN)
    assert "–" in unknown


def test_the_grid_has_a_group_for_every_side_and_a_button_where_there_is_a_choice() -> None:
    two, three = (flat(compare_html.versus(sides, "<bob>", POOR, {})) for sides in ([GOOD, POOR], [GOOD, POOR, MIDDLE]))
    assert two.count("colgroup") == 2 and three.count("colgroup") == 3
    assert two.count('<td class="cl-then">') == 4 and three.count('<td class="cl-then">') == 6
    assert 'data-act="right"' not in two and three.count('data-act="right"') == 2
    assert re.search(r'<mark><button[^>]*data-value="sequential"', three)
    assert re.search(r'aria-selected=true><th scope="row"><button[^>]*data-value="&lt;bob&gt;"', three)


def test_a_real_picture_stands_below_the_name_where_there_is_one(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), "red").save(tmp_path / "ann.png")
    (tmp_path / "bob.png").write_bytes(b"no picture any more")
    real = {f"<{name}>": tmp_path / f"{name}.png" for name in ("ann", "bob", "eve")}
    grid = compare_html.versus([GOOD, POOR], "<bob>", POOR, real)
    assert re.findall(r'<img src="data:image/webp;base64,[^"]+" alt="([^"]+)"', grid) == ["Ann, a real picture"]


def test_what_was_learned_together_is_compared_and_what_comes_since_is_added() -> None:
    def sibling(name: str, method: str, comparison: str = "") -> TimelineSummary:
        return TimelineSummary(name, name, method, 2, "", "", comparison)

    old, ewc, seq = sibling("a", "merged"), sibling("b", "ewc", "x"), sibling("c", "sequential", "x")
    assert _selected([ewc, old, seq], [], {}, BUILT_IN) == ["c", "b"]
    assert _selected([old, ewc, seq], [], {}, BUILT_IN) == ["a"]
    assert _selected([ewc, old, seq], ["a"], {"known": ["a", "b", "c"]}, BUILT_IN) == ["a"]
    assert _selected([ewc, old, seq], ["a"], {"known": ["a", "c"]}, BUILT_IN) == ["a", "b"]
    assert _selected([ewc, old, seq], ["gone"], {"known": ["a", "b", "c"]}, BUILT_IN) == ["c", "b"]
    assert _selected([], ["a"], {}, BUILT_IN) == []
