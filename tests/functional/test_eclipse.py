"""Strangers with a thousand addresses and two hundred restarts do not surround a node.

The bounds follow from the rules: of few networks nobody has more places than networks, as no two places go
to one. Of a thousand networks strangers have nearly their part of the draws, but never the two anchors, which
go to the addresses that the node has known for longest.
"""

from pathlib import Path

import pytest

from engram.p2p.addresstable import BUCKET_SIZE, TRIED_BUCKETS
from engram.p2p.outbound import ANCHORS
from tests.support.address_book import address
from tests.support.eclipse import PLACES, Siege
from tests.support.faults import Played, inputs

RESTARTS = 4
"""So many in the suite; `make faults` plays the numbers of the table."""


def besieged(addresses: int, networks: int, restarts: int, folder: Path) -> Siege:
    strangers = [address(number // networks, group=number % networks) for number in range(addresses)]
    siege = Siege(strangers, folder, seed=networks % 256)
    siege.live_in_peace()
    for _ in range(restarts):
        siege.restart()
    return siege


@pytest.mark.fault(id=34)
@pytest.mark.parametrize(("networks", "mean_share", "honest"), [(4, 0.35, PLACES - 4), (1_000, 0.7, ANCHORS)])
def test_a_thousand_addresses_never_have_every_place(
    networks: int, mean_share: float, honest: int, tmp_path: Path, fault: Played
) -> None:
    restarts = inputs(34, sample=RESTARTS, share=0.5)
    siege = besieged(1_000, networks, restarts, tmp_path)
    share = sum(siege.shares) / restarts
    fault.tell(restarts, ratio=share)
    assert siege.honest_at_worst >= honest
    assert share <= mean_share
    assert siege.has_honest_anchors


@pytest.mark.fault(id=25)
def test_ten_thousand_addresses_of_sixteen_networks_fill_a_quarter_of_the_tried_ones(
    tmp_path: Path, fault: Played
) -> None:
    restarts = inputs(25, sample=RESTARTS)
    siege = besieged(10_000, 16, restarts, tmp_path)
    drawn = siege.tried_draws()
    fault.tell(restarts, ratio=drawn)
    assert siege.tried_places() <= TRIED_BUCKETS * BUCKET_SIZE // 4
    assert drawn <= 0.35
    assert siege.honest_at_worst >= ANCHORS
    assert siege.has_honest_anchors
