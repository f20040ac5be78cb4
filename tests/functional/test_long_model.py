"""A model that grows in one real round after the other: a sample of what `make simulate` plays."""

import json
import subprocess
import sys

import pytest

from tests.support.long_model import LongModel, Measured

GROWTHS = 12


@pytest.fixture(scope="module")
def played() -> tuple[LongModel, list[Measured]]:
    model = LongModel.of_preset("consortium")
    return model, [model.grow() for _ in range(GROWTHS)]


def test_every_growth_makes_a_version_and_the_model_forgets_nothing(
    played: tuple[LongModel, list[Measured]],
) -> None:
    model, growths = played
    assert [each.growth for each in growths] == list(range(1, GROWTHS + 1))
    assert (model.model.head, model.model.lost_ppm) == (GROWTHS, 0)


def test_records_and_fees_of_a_growth_do_not_rise_with_the_model(
    played: tuple[LongModel, list[Measured]],
) -> None:
    _, growths = played
    second, last = growths[1], growths[-1]  # the first brings a class, all others are of one size
    assert abs(last.version_bytes - second.version_bytes) <= 4
    assert abs(last.reveal_fee - second.reveal_fee) <= second.reveal_fee // 100
    assert last.network_macs > second.network_macs
    assert last.network_macs <= last.half_block


def test_the_whole_network_of_a_long_line_is_that_of_all_its_growths(
    played: tuple[LongModel, list[Measured]],
) -> None:
    model, _ = played
    whole = model.composition(GROWTHS)
    assert whole.steps == GROWTHS
    assert whole.spec.totals.widths == (14, 2 * GROWTHS)
    assert len(whole.makers(GROWTHS)) == GROWTHS + 1


def test_the_simulation_runs_as_a_command() -> None:
    command = [sys.executable, "-m", "tests.support.long_model", "--preset", "main", "--growths", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["growth"] == 2
