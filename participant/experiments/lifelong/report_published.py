"""Published figures beside which the report sets its own: final accuracy over all classes, no task label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Published:
    """One figure of the literature."""

    method: str
    keeps: str
    """What is kept of old classes."""
    percent: float
    setting: str
    source: str


_THREE_TYPES: Final = "van de Ven, Tuytelaars, Tolias 2022, Nature Machine Intelligence 4:1185, table 2"
_MLP: Final = "network 784-400-400-10 trained by gradients, 20 seeds"
_MNIST_5: Final = (
    Published("fine-tuning", "nothing", 19.89, _MLP, _THREE_TYPES),
    Published("EWC", "importances of weights", 20.64, _MLP, _THREE_TYPES),
    Published("LwF", "the old network", 21.89, _MLP, _THREE_TYPES),
    Published("experience replay", "100 images a class", 88.79, _MLP, _THREE_TYPES),
    Published("deep generative replay", "a generator", 90.35, _MLP, _THREE_TYPES),
    Published("brain-inspired replay", "a generator", 94.41, _MLP, _THREE_TYPES),
    Published("one VAE a class", "a generator a class", 93.82, "small VAE a class, 20 seeds", _THREE_TYPES),
    Published("joint training", "all images", 98.17, _MLP, _THREE_TYPES),
)
_MNIST_10: Final = (
    Published(
        "PEC",
        "a network a class",
        92.3,
        "one class a step, one pass",
        "Zajac, Tuytelaars, van de Ven 2024, ICLR",
    ),
    Published(
        "RanDumb",
        "a mean a class and one covariance",
        98.3,
        "one class a step, one pass, 25,000 random Fourier features",
        "Prabhu and others 2024, NeurIPS, arXiv:2402.08823",
    ),
)

PUBLISHED: Final[Mapping[str, tuple[Published, ...]]] = {
    "mnist-5x2": _MNIST_5,
    "mnist-10x1": _MNIST_10,
}
"""By the name of the stream. No table of one setting was found for the other streams."""
