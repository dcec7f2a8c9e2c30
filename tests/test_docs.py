"""What is written about the code: links lead somewhere, tables are of the results, pages and pictures stay small."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clora_core.cli.arguments import make_parser
from clora_core.settings.plugins import known_methods

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TRACKED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout.split()
PAGES = [ROOT / name for name in TRACKED] or [ROOT / "README.md", *DOCS.rglob("*.md")]  # a copy without git

FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r'\]\(([^)\s]+)\)|src="([^"]+)"')


def prose(path: Path) -> str:
    """A page without its front matter and code blocks."""
    return CODE.sub("", FRONT_MATTER.sub("", path.read_text(encoding="utf-8")))


def words(text: str) -> int:
    """Words that are read: without tags, comments and where links lead; headings and tables count."""
    read = re.sub(r"\]\([^)]*\)", "]", re.sub(r"<[^>]*>", " ", text))
    return sum(any(letter.isalnum() for letter in word) for word in read.split())


def anchors(path: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for found in LINK.finditer(prose(page)):
        link = found[1] or found[2]
        if re.match(r"https?:|mailto:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{page.relative_to(ROOT)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.relative_to(ROOT)} links to {link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_can_be_typed(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for command in re.findall(r"^python -m clora_core (.*)$", text, re.MULTILINE):
        if "--method-file" not in command:  # a file of the reader's
            words = shlex.split(command, comments=True)
            assert make_parser(known_methods()).parse_args(words).command in words


def test_every_table_is_what_the_results_say() -> None:
    ran = subprocess.run([sys.executable, ROOT / "scripts" / "tables.py", "--check"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_readme_takes_three_minutes() -> None:
    assert 600 <= words(prose(ROOT / "README.md")) <= 700


@pytest.mark.parametrize("page", sorted((DOCS / "results").glob("*.md")), ids=lambda page: page.name)
def test_a_result_is_one_short_page(page: Path) -> None:
    without_tables = re.sub(r"<!-- table:.*?<!-- end -->", "", prose(page), flags=re.DOTALL)
    assert words(without_tables) <= 800


def test_pictures_are_few_and_small_and_all_are_shown() -> None:
    pictures = [path for path in DOCS.rglob("*") if path.suffix in (".png", ".webp", ".jpg", ".gif", ".svg")]
    assert len(pictures) <= 10
    assert {path.parent.name for path in pictures} == {"pictures"} and {path.suffix for path in pictures} == {".webp"}
    shown = {Path(found[1] or found[2]).name for page in PAGES for found in LINK.finditer(prose(page))}
    assert {path.name for path in pictures} <= shown
    assert max(path.stat().st_size for path in pictures) < 150_000
