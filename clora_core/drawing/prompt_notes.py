"""What will not work in a prompt, in sentences that say what to write instead. No torch: asked at every letter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import shorten

from clora_core.answers import Card
from clora_core.concepts import TOKEN_IN_TEXT, nearest, tokens_in
from clora_core.errors import ConceptError

NAMED = 5  # of the tokens that are learned, a note names so many
UNREAD = 200  # characters of what is cut off are shown


def not_learned(token: str, learned: Sequence[str], later: Mapping[str, int] | None = None) -> str:
    """Why `token` cannot be drawn, and what can. later: by token, the place of each one learned after this point."""
    if later and token in later:
        return f"{token} is learned later: draw as of {later[token]} or beyond."
    other = re.fullmatch(r"<(?:lora|lyco|hypernet):([^:>]*)(?::[^>]*)?>", token)
    near = nearest(f"<{other[1]}>" if other else token, [*learned, *(later or ())])
    if other:
        return f"{token} is another programme's. Write {near or 'the token'} here, and its strength as a setting."
    if near:
        return f"{token} is not learned: did you mean {near}?"
    if not learned:
        return f"{token} is not learned at this point. Nothing is learned yet: teach a concept first."
    more = ", ..." if len(learned) > NAMED else ""
    return f"{token} is not learned at this point. Learned so far: {', '.join(learned[:NAMED])}{more}."


def check_learned(text: str, learned: Sequence[str], later: Mapping[str, int] | None = None) -> None:
    """Raise ConceptError for the first token of a text that cannot be drawn: see `not_learned`."""
    wrong = next((token for token in tokens_in(text) if token not in learned), None)
    if wrong:
        raise ConceptError(not_learned(wrong, learned, later))


def prompt_notes(
    prompt: str,
    cards: Sequence[Card],
    as_of: int,
    unknown: Mapping[str, str] | None = None,
    unread: str = "",
    joined_by: Sequence[str] = (),
) -> list[str]:
    """What about this prompt will not work as of the first `as_of` of a timeline's `cards`, a sentence or two each.

    unknown: words that the model was never taught, each with the known one that may be meant, or "".  unread: the end
    of the prompt that the text encoder does not read.  joined_by: the words by which the model puts two people into one
    picture; () = any.
    """
    learned = [card.token for card in cards[:as_of]]
    later = {card.token: card.index for card in cards[as_of:]}
    used = tokens_in(prompt)
    notes = [not_learned(token, learned, later) for token in used if token not in learned]
    bare = _bare(prompt, cards)
    notes += [f"“{words}” is learned as {token}: write {token}, in pointed brackets." for words, token in bare.items()]
    named = " ".join(bare).lower().split()
    notes += _never_taught({word: near for word, near in (unknown or {}).items() if word not in named})
    notes += _joined(prompt, joined_by) if joined_by else []
    if unread:
        notes.append(f"The prompt is too long for this model. It does not read: “{shorten(unread, UNREAD)}”.")
        read = tokens_in(prompt.removesuffix(unread))
        notes += [
            f"{token} would be cut off: move it to the front." for token in tokens_in(unread) if token not in read
        ]
    return notes


def _bare(prompt: str, cards: Sequence[Card]) -> dict[str, str]:
    """Names and tokens of concepts that stand in the prompt without their brackets, and the token that is meant."""
    text, found = TOKEN_IN_TEXT.sub(" ", prompt), {}
    used = tokens_in(prompt)
    for card in cards:
        for words in (card.token[1:-1], card.name.strip()):
            stands = re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", text, re.IGNORECASE) if words else None
            if stands and card.token not in used:
                found[stands[0]] = card.token
                break
    return found


def _never_taught(unknown: Mapping[str, str]) -> list[str]:
    notes = [f"This model was never taught “{word}”: did you mean “{near}”?" for word, near in unknown.items() if near]
    others = [f"“{word}”" for word, near in unknown.items() if not near]
    if others:
        shown = "it" if len(others) == 1 else "they"
        notes.append(f"This model was never taught {', '.join(others)}: {shown} will hardly show.")
    return notes


def _joined(prompt: str, joined_by: Sequence[str]) -> list[str]:
    """What to write where two concepts stand side by side in other words."""
    used = tokens_in(prompt)
    if len(used) < 2:
        return []
    if len(used) > 2:
        return [f"This model draws two people at most: leave {len(used) - 2} of them out."]
    found = list(TOKEN_IN_TEXT.finditer(prompt.lower()))
    pairs = [pair for pair in pairwise(found) if pair[0][0] != pair[1][0]]
    between = [" ".join(prompt[one.end() : other.start()].lower().split()) for one, other in pairs]
    if any(words in text for words in joined_by for text in between):
        return []
    one, other = used
    words = " or ".join(f"“{each}”" for each in joined_by)
    return [f"This model puts two people into one picture by {words} only: write {one} {joined_by[0]} {other}."]
