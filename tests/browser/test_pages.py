"""Rounds, models and the paper to draw on in a real browser, of a model that was trained and has grown."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import engram
from engram.library.sync import SyncChain
from tests.support.browser import Explorer
from tests.support.cli import Shell

OLD, ALL = 3, 4
"""Classes before and after the growth."""
HOSTILE = "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"
LONG = {"open": 400, "reveal": 400, "commit": 400, "update": 400, "witness": 400, "audit": 400, "score": 400}
COUNTING = """
window.asked = {now: 0, most: 0, all: 0};
const waiting = new Set(), {send, addEventListener: listen} = WebSocket.prototype;
WebSocket.prototype.send = function (text) {
  const request = JSON.parse(text);
  if (request.method === "model_predict") {
    waiting.add(request.id);
    asked.all += 1;
    asked.most = Math.max(asked.most, waiting.size);
  }
  return send.call(this, text);
};
WebSocket.prototype.addEventListener = function (kind, listener) {
  const counted = (event) => {
    waiting.delete(JSON.parse(event.data).id); // before the page hears it and asks again
    return listener(event);
  };
  return listen.call(this, kind, kind === "message" ? counted : listener);
};
"""


@dataclass(frozen=True)
class Grown:
    """A chain with a model of three classes, a growth by a fourth, and a round that is open."""

    chain: SyncChain
    operator: Shell
    model: str
    won: tuple[str, str]
    """The rounds that were decided: the training and the growth."""
    open: str
    numbers: str
    """A model whose rows are no pictures."""


def rows_of(classes: int, part: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Every second digit of the first classes."""
    digits = engram.load_data("digits")
    chosen = np.flatnonzero(digits.labels < classes)[part::2]
    return digits.features[chosen], digits.labels[chosen]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    folder = tmp_path_factory.mktemp("node")
    operator = Shell(folder, {})
    with engram.dev_node(("alice", "bob", "carol"), folder=folder) as alice:
        lenient: Any = {"threshold": 0.6, "epsilon": 0.2, "delta": 2.0, "lost_cap": 0.9}
        first = alice.open_round(*rows_of(OLD, 0), hidden=(12,), sure=True, rows=40, **lenient)
        with first.running():
            played = alice.using("bob").round(first.id).participate(*rows_of(OLD, 1), steps=120)
        assert played.outcome.status == "decided"
        model = alice.model().id
        more: Any = {"sure": True, "rows": 40, "neurons": 6, "bounty": 20}
        growth = alice.open_round(*rows_of(ALL, 0), model=model, new_classes=1, **more)
        with growth.running():
            played = alice.using("carol").round(growth.id).participate(*rows_of(ALL, 1), steps=120)
        assert played.outcome.status == "decided"
        still = alice.open_round(*rows_of(ALL, 0), model=model, windows=LONG, **more)
        rng = np.random.default_rng(1)
        other = alice.open_round(
            rng.integers(0, 256, (400, 5), np.uint8), np.arange(400) % 2, sure=True, windows=LONG
        )
        operator.text("miner", "stop")  # else open rounds let blocks come all the time
        numbers = other.info()["model"]
        yield Grown(alice, operator, model, (first.id, growth.id), still.id, numbers)


@pytest.fixture(scope="module")
def explorer(driver: object, grown: Grown) -> Explorer:
    return Explorer(driver, grown.chain.url)


def fits(explorer: Explorer, name: str) -> None:
    """Takes the pictures of a page, which is no wider than a phone and names what it shows."""
    explorer.picture(name)
    explorer.resize("phone")
    assert explorer.overflow_px() <= 0
    explorer.resize("desktop")
    unnamed = "svg[role=img]:not([aria-label]), canvas:not([aria-label]), button:empty, a:empty"
    assert explorer.all(unnamed) == []
    assert len(explorer.all("main h1")) == 1


def integers(texts: list[str]) -> list[int]:
    return [int(text.replace("\u202f", "").replace("\u2212", "-")) for text in texts]


def column(explorer: Explorer, region: str, number: int, inside: str = "") -> list[str]:
    """What a column of a table shows, from the top down; `inside` narrows it to an element of the cells."""
    cells = f'[aria-label="{region}"] tbody tr td:nth-child({number}) {inside}'
    return [cell.text for cell in explorer.all(cells)]


def test_rounds_show_how_long_they_go_on(explorer: Explorer, grown: Grown) -> None:
    explorer.open("rounds", ".countdown")
    assert len(explorer.all('[aria-label="Rounds that have ended"] tbody tr')) == 2
    assert column(explorer, "Rounds that have ended", 2) == ["decided", "decided"]
    left = grown.chain.call("round_get", id=grown.open)["ticks_left"]
    explorer.until_text(".countdown", f"{left} ticks left")
    grown.operator.text("miner", "mine", "1")
    explorer.until_text(".countdown", f"{left - 1} ticks left")
    fits(explorer, "rounds")


def test_a_round_says_why_each_update_won_or_lost(explorer: Explorer, grown: Grown) -> None:
    explorer.open(f"round/{grown.won[1]}", "li.card")
    shown = explorer.text()
    outcomes = grown.chain.call("round_outcomes", id=grown.won[1])
    won = [update["author"] for update in outcomes["updates"] if update["paid"] > 0]
    for update in outcomes["updates"]:
        for text in update["why"]:
            assert text[1:] in shown, "the words are the node's own"
    assert [card.text.count("★ took the lead") for card in explorer.all(".card.won")] == [1] * len(won) != []
    states = column(explorer, "Parts of the round", 2)
    round_ = grown.chain.call("round_get", id=grown.won[1])
    assert states.count("open") == len(round_["validation_opened"]) + len(round_["unseen"])
    assert states.count("closed") > 0
    fits(explorer, "round-decided")
    part = round_["validation_opened"][0]["commitment"]
    explorer.find(f'a[href$="?part={part}"]').click()
    explorer.until_text("main", f"from the opened part {part[:10]}")
    explorer.open(f"round/{grown.open}", ".phase.now")
    assert "witnesses seal" in explorer.text(".phase.now")
    assert "No update has been committed to yet." in explorer.text()
    fits(explorer, "round-open")


def test_a_model_shows_whose_neurons_it_has_and_what_it_still_knows(explorer: Explorer, grown: Grown) -> None:
    explorer.open("models", ".card")
    assert len(explorer.all("main .card")) == 2
    fits(explorer, "models")
    explorer.open(f"model/{grown.model}", ".lineage")
    blocks = [title.get_attribute("textContent") for title in explorer.all(".lineage title")]
    losses = explorer.all(".lineage-loss")
    versions = grown.chain.call("model_versions", id=grown.model)
    mean = [version["sealed_loss"] / version["sealed_rows"] / 2**24 for version in versions[1:]]
    assert [loss.text for loss in losses] == ["not measured", *(f"{each:.4f} nat" for each in mean)]
    made = [(12, 0), (12, 1), (12, 1), (6, 2)]
    assert [text.split(",")[0] for text in blocks] == [f"{neurons} neurons" for neurons, _ in made]
    assert all(f"in version {version} by" in text for text, (_, version) in zip(blocks, made, strict=True))
    assert len(explorer.all(".lineage-block.frozen")) == len(made) - 1, "the founding network was not frozen"
    assert [note.text for note in explorer.all(".lineage-name")] == ["alice", "bob", "carol"]
    assert all("3 classes\nv2\n4 classes" in chart.text for chart in explorer.all("svg.curves")[:2])
    groups = "Groups of neurons in the current version"
    assert column(explorer, groups, 2) == ["12", "6"]
    assert column(explorer, groups, 3) == ["0\u20132", "3"]
    explorer.find("main section button").click()
    table = "Right answers by class and version"
    explorer.find(f'[aria-label="{table}"]')
    assert column(explorer, table, 1) == [str(label) for label in range(ALL)]
    assert column(explorer, table, 3)[OLD:] == ["unknown"]
    assert all(float(text.removesuffix(" %")) > 50 for text in column(explorer, table, 4))
    fits(explorer, "model")


def test_the_first_page_leads_to_models_and_tells_who_won(explorer: Explorer, grown: Grown) -> None:
    explorer.open("", "[aria-label='Latest rounds']")
    assert column(explorer, "Models", 3) == ["2", str(ALL)]
    assert column(explorer, "Latest rounds", 3) == ["carol", "bob"]
    fits(explorer, "overview-of-models")
    explorer.all("[aria-label='Models'] .button")[1].click()
    explorer.find("canvas.paper")


def first_row(grown: Grown, label: int) -> list[int]:
    """The row of the class that the page loads first: parts of the latest round come first."""
    for round_ in reversed(grown.chain.call("round_list", model=grown.model)):
        for part in (*round_["unseen"], *round_["validation_opened"]):
            blob = grown.chain.call("part_get", id=part["commitment"])["blob"]
            with urllib.request.urlopen(f"{grown.chain.url}/blob/{blob}") as reply:
                raw = reply.read()
            rows = int.from_bytes(raw[:4], "little")
            labels = np.frombuffer(raw, "<u2", rows, 8 + rows * 64)
            found = np.flatnonzero(labels == label)
            if len(found):
                return list(raw[8 + 64 * found[0] : 8 + 64 * (found[0] + 1)])
    raise AssertionError("every class has an open row")


def test_an_old_digit_has_the_same_integers_before_and_after_growth(explorer: Explorer, grown: Grown) -> None:
    explorer.open(f"draw/{grown.model}", ".bars")
    explorer.find("select[aria-label='Class of the row'] option[value='1']").click()
    explorer.until_text("main", "A row of class 1")
    row = np.array([first_row(grown, 1)], np.uint8)
    model = grown.chain.model(grown.model)
    now, before = ([int(each) for each in model.pull(number).logits(row)[0]] for number in (2, 1))
    explorer.until_text('[aria-label="Logits before and after"]', f"{now[ALL - 1]:,}".replace(",", "\u202f"))
    assert integers(column(explorer, "Logits before and after", 3)) == now, (
        "computed here, of what was pulled"
    )
    assert integers(column(explorer, "Logits before and after", 2)[:OLD]) == before == now[:OLD]
    assert explorer.text(".verdict") == "All 3 logits of old classes are the same integers, digit for digit."
    for place, whole in ((2, max(now)), (3, sorted(now)[-1] - sorted(now)[-2])):
        parts = integers(column(explorer, "Whose neurons made the answer", place, ".mono"))
        assert whole == sum(parts) or (parts.pop(), sum(parts)) == (whole, whole), "one has no sum beside it"
    fits(explorer, "draw-a-row")


def seen(explorer: Explorer) -> npt.NDArray[np.int64]:
    """The row of 8x8 values from 0 to 16 that the model sees, out of the picture of it in light colours."""
    script = """const canvas = document.querySelector("canvas.seen");
      return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]"""
    red = np.array(explorer.driver.execute_script(script), np.int64).reshape(8, 8, 4)[:, :, 0]
    paper, ink = 0xFF, 0x17
    row: npt.NDArray[np.int64] = np.rint((paper - red) / (paper - ink) * 16).astype(np.int64)
    return row


def answers(explorer: Explorer, grown: Grown) -> npt.NDArray[np.int64]:
    """What the model sees, once the page shows the logits that are computed of it here."""
    row = seen(explorer)
    logits = grown.chain.model(grown.model).pull().logits(row.reshape(1, 64).astype(np.uint8))[0].tolist()
    last = f"{logits[-1]:,}".replace(",", "\u202f")
    explorer.until_text('[aria-label="Logits before and after"] tr:last-child', last)
    assert integers(column(explorer, "Logits before and after", 3)) == logits
    explorer.until_text(".said", f"Class {logits.index(max(logits))}")
    return row


def test_the_keyboard_draws(explorer: Explorer, grown: Grown) -> None:
    from selenium.webdriver.common.keys import Keys

    explorer.open(f"draw/{grown.model}", ".bars")
    paper = explorer.find("canvas.paper")
    paper.send_keys(Keys.DELETE)
    explorer.until_text(".said", "The paper is empty.")
    assert explorer.all(".bars, .push") == [], "nothing is asked, so nothing answers"
    paper.send_keys(Keys.SPACE, *[Keys.ARROW_DOWN] * 18, Keys.SPACE)
    ink = answers(explorer, grown)
    assert (ink[:, 3:5] > 0).all(), "a stroke fills the height, as the digits of the data set do"
    assert (ink[:, [0, 1, 6, 7]] == 0).all()
    assert "The pen is up." in explorer.text()
    fits(explorer, "draw-by-keyboard")
    paper.send_keys(Keys.BACKSPACE)
    explorer.until_text(".said", "The paper is empty.")


def test_a_pointer_draws_and_the_latest_drawing_is_answered(explorer: Explorer, grown: Grown) -> None:
    from selenium.webdriver import ActionChains

    added = explorer.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNTING})
    explorer.open(f"draw/{grown.model}", ".bars")
    explorer.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    paper = explorer.find("canvas.paper")
    moves = ActionChains(explorer.driver, duration=20)
    turns = np.linspace(0, 2 * np.pi, 24)
    moves.move_to_element_with_offset(paper, 60, 0).click_and_hold()
    for turn in turns[1:]:
        moves.move_to_element_with_offset(paper, int(60 * np.cos(turn)), int(110 * np.sin(turn)))
    moves.release().perform()
    ink = answers(explorer, grown)
    assert (ink[[0, 7], 3:5] > 0).all()
    assert (ink[3:5, 3:5] == 0).all(), "a ring is empty within"
    asked = explorer.driver.execute_script("return window.asked")
    assert asked["all"] > 2
    assert asked["most"] <= 2, "one drawing at a time, asked of two versions"
    fits(explorer, "draw-by-pointer")
    explorer.find("#clear").click()
    explorer.until_text(".said", "The paper is empty.")


def test_a_finger_draws_on_a_phone(explorer: Explorer, grown: Grown) -> None:
    command = explorer.driver.execute_cdp_cmd
    explorer.resize("phone")
    command("Emulation.setTouchEmulationEnabled", {"enabled": True})
    explorer.open(f"draw/{grown.model}", ".bars")
    script = "const box = arguments[0].getBoundingClientRect(); return [box.x, box.y, box.width]"
    x, y, wide = explorer.driver.execute_script(script, explorer.find("canvas.paper"))
    scrolled = explorer.driver.execute_script("return scrollY")
    for kind, share in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.8)):
        point = {"x": x + wide * 0.5, "y": y + wide * share}
        command("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    command("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    explorer.until_text("main", "Your drawing")
    assert (answers(explorer, grown)[:, 3:5] > 0).all()
    assert explorer.driver.execute_script("return scrollY") == scrolled, "the page stays under the finger"
    command("Emulation.setTouchEmulationEnabled", {"enabled": False})
    explorer.resize("desktop")


def test_a_drawing_becomes_a_row_as_mnist_was_made(explorer: Explorer) -> None:
    """It fits into 20x20 of the 28x28 pixels, in shades, and its centre of mass is in the middle."""
    explorer.open("models", ".card")
    script = """const done = arguments[0];
      import("./ink.js").then((ink) => done(ink.pixels([[[0.2, 0.1], [0.8, 0.1], [0.4, 0.7]]], 28, 255)));"""
    picture = np.array(explorer.driver.execute_async_script(script), np.int64).reshape(28, 28)
    rows, columns = (np.flatnonzero(picture.sum(axis=axis)) for axis in (1, 0))
    assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 in (20, 21)
    centre = [np.average(np.arange(28) + 0.5, weights=picture.sum(axis=axis)) for axis in (1, 0)]
    assert np.allclose(centre, 14, atol=0.3)
    assert picture.max() == 255
    assert len(np.unique(picture)) > 5


def test_rows_that_are_no_pictures_are_typed(explorer: Explorer, grown: Grown) -> None:
    from selenium.webdriver.common.keys import Keys

    explorer.open(f"draw/{grown.numbers}", ".fields input")
    assert explorer.all("canvas.paper") == []
    assert "there is none to load" in explorer.text()
    explorer.open(f"draw/{grown.model}", "canvas.paper")
    explorer.find("a[href$='?as=numbers']").click()
    explorer.find(".fields label:nth-child(64) input")
    assert explorer.all("canvas.paper") == []
    explorer.open(f"draw/{grown.numbers}", ".fields input")
    field = explorer.find(".fields label:nth-child(2) input")
    field.send_keys(Keys.BACKSPACE, "300", Keys.TAB)
    network = grown.chain.model(grown.numbers).pull()
    logits = [int(each) for each in network.logits(np.array([[0, 255, 0, 0, 0]], np.uint8))[0]]
    explorer.until_text(
        '[aria-label="Whose neurons made the answer"]', f"{max(logits):+,}".replace(",", "\u202f")
    )
    fits(explorer, "draw-numbers")


def test_badges_and_reputation_stand_with_whom_has_earned_them(explorer: Explorer, grown: Grown) -> None:
    """On the model's page and on the account's: what the node keeps of the winner of the growth."""
    names = ["participation", "best loss", "teacher", "witness", "founder"]
    carol = grown.chain.using("carol").address
    standing = grown.chain.call("account_standing", address=carol)
    earned = [names[badge["badge"]] for badge in standing["badges"]]
    assert "best loss" in earned
    explorer.open(f"account/{carol}", ".card ul .tag")
    card = next(each.text for each in explorer.all(".card") if each.text.startswith("Badges"))
    assert [line.split(" version ")[0] for line in card.splitlines()[1:]] == earned
    assert f"version 2 of {grown.model[:10]}" in card
    (points,) = (each["points"] for each in standing["reputation"])
    assert column(explorer, "Reputation", 2) == [f"{points / 10_000:.2f} %"]
    fits(explorer, "account-badges")
    explorer.open(f"model/{grown.model}", '[aria-label="People"] a')
    rows = [row.text for row in explorer.all('[aria-label="People"] tbody tr')]
    for name in ("carol", "alice"):
        address = grown.chain.using(name).address
        (own,) = (row for row in rows if row.split()[0] == name)
        badges = grown.chain.call("account_standing", address=address)["badges"]
        of_model = [badge for badge in badges if badge["model"] == grown.model]
        assert of_model
        assert all(f"{names[badge['badge']]}, v{badge['version']}" in own for badge in of_model)


def test_the_search_box_finds_rounds_models_and_says_what_is_not_there(
    explorer: Explorer, grown: Grown
) -> None:
    height = grown.chain.head().height
    for asked, shown in (
        (grown.model, f"Model {grown.model[:10]}"),
        (grown.model[:12].upper(), f"Model {grown.model[:10]}"),
        (grown.won[0], f"Round {grown.won[0][:10]}"),
        (f"  {grown.open[:12]} ", f"Round {grown.open[:10]}"),
        (grown.chain.address, "Account"),
        (str(height), f"Block {height}"),
        (grown.model[:3], f"Nothing is called {grown.model[:3]}"),
        ("0" * 64, f"Nothing is called {'0' * 64}"),
    ):
        explorer.open("peers", ".card")
        explorer.find("#asked").send_keys(asked + "\n")
        explorer.until_text("h1", shown)
    explorer.open("search/" + "9" * 12, "h1")
    explorer.until(lambda: f"head of the chain is block {height}" in explorer.text().replace("\u202f", ""))
    explorer.open("search/abc")
    assert "by its first 4 digits or more" in explorer.text()
    wrong = grown.chain.address[:-1] + ("q" if grown.chain.address[-1] != "q" else "p")
    explorer.open(f"search/{wrong}", "[role=alert]")
    assert "address" in explorer.text("[role=alert]")
    explorer.open("search/no such thing", "h1")
    assert "Ask for the height of a block" in explorer.text()
    fits(explorer, "search-nothing")


@pytest.mark.parametrize("page", ["round", "model", "draw"])
def test_markup_in_an_address_is_text(explorer: Explorer, page: str) -> None:
    explorer.open(f"{page}/{HOSTILE}", "[role=alert]")
    assert "could not be shown" in explorer.text("h1")
    assert explorer.all("main img") == []
    assert explorer.text("main button") == "Try again"
