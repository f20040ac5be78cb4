"""Makes the report of `lifelong` from its rows."""

from engram.participant.experiments.document import Document, Heading, Prose
from engram.participant.experiments.plan import Rows, Scale


def document_of(title: str, scale: Scale, rows: Rows) -> Document:
    return Document(title, (Heading("x"), Prose("y")))
