"""The explorer's colours and texts: read by everybody, by keyboard, in light and in dark."""

import re

import pytest

from engram.node.explorer.serving import STATIC

LEAST_CONTRAST = 4.5
"""What the web's guidelines (WCAG 2.2, AA) ask for between text and what is behind it."""
PAIRS = [
    *[(text, back) for text in ("text", "soft", "link", "bad", "good") for back in ("back", "card")],
    ("text", "muted-back"),
    *[(name, f"{name}-back") for name in ("good", "bad", "caught")],
]


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the light scheme, and of the dark one, which changes them."""
    style = (STATIC / "style.css").read_text()
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in style.split("@media", 2)[:2]
    )
    return {"light": light, "dark": {**light, **dark}}


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_is_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(scheme: str) -> None:
    colours = palettes()[scheme]
    faint = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in PAIRS}
    assert {pair: value for pair, value in faint.items() if value < LEAST_CONTRAST} == {}
    focus = {back: contrast(colours["focus"], colours[back]) for back in ("back", "card")}
    assert {back: value for back, value in focus.items() if value < 3} == {}  # what is no text needs less


def test_both_schemes_name_the_same_colours() -> None:
    light, dark = palettes().values()
    assert light.keys() == dark.keys()
    assert all(light[name] != dark[name] for name in light)


def test_scripts_make_no_markup_and_ask_nobody_else() -> None:
    """Nothing in the pages can turn text into elements or code, or name an address elsewhere."""
    forbidden = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
    )
    for path in STATIC.rglob("*.js"):
        text = path.read_text()
        assert [word for word in forbidden if word in text] == [], path.name
        addresses = set(re.findall(r"(?:https?|wss?)://[^\s\"'`$]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name
