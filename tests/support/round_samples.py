"""Rounds, candidates and models made by hand, for tests of the rules that look at nothing else."""

from engram.nn.network import NetworkSpec
from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.records import Candidate, OpenedPart, PartScore, RetentionScore, Round
from tests.support.rounds import make_part, network, train_terms

PARTS = [make_part(index, parts=4) for index in range(4)]
WEIGHTS = network(6, 1)
assert isinstance(WEIGHTS.spec, NetworkSpec)
SPEC = WEIGHTS.spec


def opened(loss: int) -> OpenedPart:
    return OpenedPart(bytes(32), bytes(20), PartScore(loss, 0), True)


def a_round(validation: int = 1_000_000, sealed: tuple[int, ...] = (1_000_000,), epochs: int = 3) -> Round:
    return Round(
        bytes(32),
        bytes(32),
        bytes(20),
        train_terms(PARTS, epochs=epochs),
        opened=1,
        version=0,
        base=bytes(32),
        classes=2,
        validation_opened=(opened(validation),),
        sealed_opened=tuple(opened(loss) for loss in sealed),
    )


def a_candidate(
    name: int,
    epoch: int,
    sealed: int,
    *,
    loss: int = 5,
    committed: int = 10,
    retention: tuple[RetentionScore, ...] = (),
) -> Candidate:
    return Candidate(
        round=bytes(32),
        epoch=epoch,
        author=bytes([name]) * 20,
        committed=committed,
        root=bytes(32),
        spec=SPEC,
        hidden=(),
        outputs=(),
        loss=loss,
        validation=(),
        bond=0,
        escrow=0,
        bid=0,
        size_bytes=0,
        sealed=(PartScore(sealed, 0),),
        retention=retention,
    )


def a_model(*retention: RetentionPart, epsilon: int = 20_000, delta: int = 250_000) -> Model:
    zero = bytes(32)
    return Model(
        zero, bytes(20), 0, 0, 1, 1, epsilon, delta, 6, 2, 0, 0, zero, True, 0, 0, zero, 0, 0, 0, retention
    )


MODEL = a_model()
