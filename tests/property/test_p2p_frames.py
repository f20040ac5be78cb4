"""No bytes make `decode_frame` do anything but return a message of those very bytes, or raise `Invalid`."""

from hypothesis import given
from hypothesis import strategies as st

from engram.p2p.messages import MESSAGES, MessagePhase, decode_frame, encode_frame
from engram.primitives.errors import Invalid
from tests.support.faults import plays
from tests.support.p2p_samples import SAMPLES

FRAMES = [encode_frame(message) for message in SAMPLES.values()]
PHASES = st.sampled_from([MessagePhase.HANDSHAKE, MessagePhase.SESSION])


def judge(frame: bytes, phase: MessagePhase) -> None:
    try:
        message = decode_frame(frame, phase)
    except Invalid:
        return
    assert encode_frame(message) == frame


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good frame with bytes changed, cut out, put in, or with the tail of another one."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(frame)))
        match draw(st.integers(0, 3)):
            case 0 if at < len(frame):
                frame[at] ^= draw(st.integers(1, 255))
            case 1:
                del frame[at : at + draw(st.integers(1, 8))]
            case 2:
                frame[at:at] = draw(st.binary(min_size=1, max_size=8))
            case _:
                other = draw(st.sampled_from(FRAMES))
                frame[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(frame)


@plays(1, share=0.5)
@given(mutated(), PHASES)
def test_mutated_frames(frame: bytes, phase: MessagePhase) -> None:
    judge(frame, phase)


@plays(1, share=0.5)
@given(st.sampled_from([spec.tag for spec in MESSAGES]), st.binary(max_size=200), PHASES)
def test_any_bytes_behind_any_tag(tag: int, body: bytes, phase: MessagePhase) -> None:
    judge(bytes([tag]) + body, phase)
