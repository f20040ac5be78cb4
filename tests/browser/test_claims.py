"""Claims of scores, in a real browser: one that was refuted, and one that was confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from engram.node.client import RpcClient
from tests.support.browser import Explorer
from tests.support.refuted_claim import LIAR, WATCHER, PlayedLie, refuted_claim


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedLie]:
    with refuted_claim(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture(scope="module")
def explorer(driver: object, played: PlayedLie) -> Explorer:
    return Explorer(driver, played.url)


def test_the_page_of_a_round_tells_what_became_of_each_claim(explorer: Explorer, played: PlayedLie) -> None:
    explorer.open(f"round/{played.round}", "li.card.won")
    cards = (card.text for card in explorer.all("ul.grid li.card:not(.caught)"))
    lost, won = sorted(cards, key=lambda text: "★" in text)
    assert "confirmed" in won
    assert "every node has recomputed 2 of 6 chunks" in won
    assert "refuted" in lost
    assert "The bond is lost" in lost
    assert "a gain is proved" in won
    assert "a gain is proved" not in lost, "what was claimed of it is false"
    assert "Its author claimed scores that the update does not have" in lost
    assert "On this model each author claims them, row by row." in explorer.text()
    explorer.picture("round-claims")
    explorer.resize("phone")
    assert explorer.overflow_px() <= 0
    explorer.resize("desktop")


def test_a_claim_that_was_refuted_is_struck_out_as_caught(explorer: Explorer, played: PlayedLie) -> None:
    explorer.open(f"round/{played.round}", "li.card.caught")
    (card,) = explorer.all("li.card.caught")
    struck, *others = (
        str(link.get_attribute("href")).rpartition("#/account/")[2]
        for link in explorer.all('li.card.caught a[href*="#/account/"]')
    )
    assert (struck, others) == (LIAR, [WATCHER])
    text = card.text
    assert "in epoch 1 caught: claim refuted" in text
    assert (
        "The author claimed other scores of the 8 rows of chunk 1 of part 1 than every node computed." in text
    )
    assert "2 coins; 1 coin of it burned" in text
    assert "Disputed by" in text
    explorer.find('li.caught a[href^="#/tx/"]').click()
    explorer.until_text("h1", "Dispute claim")


def test_blocks_tell_of_claims_disputes_and_confirmations(explorer: Explorer, played: PlayedLie) -> None:
    async def places() -> dict[str, str]:
        found = {}
        async with RpcClient(played.url) as client:
            for height in range(1, int((await client.call("chain_head"))["height"]) + 1):
                for tx in (await client.call("chain_block", height=height))["transactions"]:
                    found[tx["name"]] = str(tx["txid"])
        return found

    found = asyncio.run(places())
    for name, text in (
        ("score_update", "claims the scores of an update in round"),
        ("dispute_claim", "disputes a chunk of what"),
        ("confirm_update", "with 2 audited chunks"),
    ):
        explorer.open(f"tx/{found[name]}", "h1")
        assert text in explorer.text()
