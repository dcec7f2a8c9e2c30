"""What came of a lesson, from what was measured; what older versions stored is still read."""

from __future__ import annotations

import json

from clora_core.verdict import Verdict, outcome


def test_drawn_as_like_as_the_real_ones_are_to_each_other() -> None:
    assert outcome(likeness=0.72, before=0.56, real=0.77) == "looks like them"
    assert outcome(likeness=0.72, before=0.56, real=0.77, confused=True) == "partly"
    assert outcome(likeness=0.68, before=0.35, real=0.815) == "partly"
    assert outcome(likeness=0.42, before=0.06, real=0.637) == "does not look like them"


def test_what_was_no_farther_off_before_the_first_step_is_not_learned() -> None:
    assert outcome(likeness=0.6, before=0.6, real=0.77) == "does not look like them"
    assert outcome(likeness=0.72, before=0.76, real=0.76) == "does not look like them"


def test_a_verdict_comes_back_from_json_whole() -> None:
    verdict = Verdict(0.5, (("<a>", 0.1),), "partly", 0.6, 0.4, 0.7, (("<a>", 0.65),), ("<a>", 0.66), 3)
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_a_verdict_of_before_likeness_was_measured_is_read_and_said() -> None:
    old = Verdict.from_json({"differs_from_base": 0.25, "older_changed": [["<old>", 0.125]]})
    assert (old.outcome, old.likeness, old.seed) == ("", None, None)
    assert "25.0%" in old.words() and "<old>" in old.words()


def test_each_outcome_says_something_else() -> None:
    outcomes = ("looks like them", "partly", "does not look like them", "diverged")
    said = {Verdict(0.5, (), came, 0.6, 0.4, 0.7).words() for came in outcomes}
    assert len(said) == len(outcomes)
