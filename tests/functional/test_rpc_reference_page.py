"""The printed reference of RPC is what nodes serve; its links lead somewhere, its examples show the form."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.support.rpc_examples import EVENTS, record_events
from tests.support.rpc_page import page, slug
from tests.support.rpc_reference import FILE, PAGE, reference, served
from tests.support.rpc_shapes import validator
from tests.support.rpc_shown import shown_value

pytestmark = pytest.mark.xdist_group("rpc_reference_page")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return served()


def test_every_topic_has_a_message_of_the_form_that_it_says(document: dict[str, Any]) -> None:
    """A client's author saw no event before the first one came."""
    kept, found = json.loads(EVENTS.read_text()), record_events()
    assert kept.keys() == found.keys() == {topic["name"] for topic in document["x-topics"]}
    for topic in document["x-topics"]:
        for message in (kept[topic["name"]], found[topic["name"]]):
            assert message.keys() == {"jsonrpc", "method", "params"}
            assert (message["method"], message["params"]["topic"]) == ("subscription", topic["name"])
            assert validator(f"topic {topic['name']}").is_valid(message["params"]["result"]), topic["name"]


def test_every_link_of_the_reference_leads_to_one_heading() -> None:
    """4,000 lines had no table of contents, and the name of an object did not lead to it."""
    text = FILE.read_text()
    headings = [slug(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")]
    assert len(set(headings)) == len(headings), "no two headings have one anchor"
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert {link[1:] for link in links if link.startswith("#")} <= set(headings)
    outside = {link for link in links if not link.startswith("#")}
    assert all((FILE.parent / link).is_file() for link in outside)
    assert len(links) > 300
    told = [line for line in text.splitlines() if line.startswith("| `") and re.search(r"[Ss]ee `", line)]
    assert told == [], "no text sends a client's author into the code"


def test_no_example_hides_fields() -> None:
    """Lines were cut off in the middle of an object, so its form could not be seen."""
    value = {"first": [{"a": "x" * 80, "b": [1, 2]}] * 9, "last": {f"field {n}": "y" * 80 for n in range(60)}}
    told = "\n".join(shown_value(value))
    assert all(f'"field {n}"' in told for n in range(60))
    assert told.count('"a"') == 1


def test_the_printed_reference_is_not_stale(document: dict[str, Any]) -> None:
    assert FILE.read_text() == reference(document), "python -m tests.support.rpc_reference writes it"
    assert PAGE.read_text() == page(reference(document)), "python -m tests.support.rpc_reference writes it"


class Page(HTMLParser):
    """What a page links to, where its links can lead, and whether each element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: list[str] = []
        self.other: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self._open.append(tag)
        for name, value in attrs:
            if name == "href" and value is not None:
                self.links.append(value)
            elif name == "id" and value is not None:
                self.places.append(value)
            elif name == "src" or tag in ("script", "link", "img"):
                self.other.append((tag, value))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_the_page_has_every_method_and_needs_no_network(document: dict[str, Any]) -> None:
    text = PAGE.read_text()
    read = Page(text)
    assert {each["name"] for each in document["methods"]} <= set(read.places)
    assert len(set(read.places)) == len(read.places)
    assert {link.removeprefix("#") for link in read.links} <= set(read.places)
    assert all(link.startswith("#") for link in read.links)
    assert read.other == []
    assert "url(" not in text
    assert "@import" not in text
