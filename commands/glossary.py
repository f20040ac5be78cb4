"""`engram glossary` says what a word means that the program uses. The words stand in docs/glossary.md."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import CompletionItem

from engram.commands.support.glossary import Term, find_term, load_terms, near_words
from engram.commands.support.options import Command, json_flag
from engram.commands.support.output import print_json

WIDTH: Final = 80


def complete_words(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The words of the glossary that begin so."""
    return [
        CompletionItem(term.name, help=term.sentence)
        for term in load_terms()
        if term.name.startswith(incomplete)
    ]


@click.command(
    "glossary",
    cls=Command,
    example="engram glossary\nengram glossary witness\nengram glossary z squared",
)
@click.argument("word", nargs=-1, shell_complete=complete_words)
@json_flag
def command(word: tuple[str, ...], as_json: bool) -> None:
    """Explain a word that Engram uses, or list them all.

    Without a WORD, each is listed with one sentence. No node is asked. The same page is docs/glossary.md.
    """
    terms = load_terms()
    if not word:
        if as_json:
            print_json({"words": [_as_json(term) for term in terms]})
        else:
            _print_list(terms)
        return
    wanted = " ".join(word)
    term = find_term(terms, wanted)
    if term is None:
        near = near_words(terms, wanted)
        hint = f"did you mean {', '.join(near)}?" if near else "`engram glossary` lists all words."
        raise click.UsageError(f"the glossary has no word {wanted!r}; {hint}")
    if as_json:
        print_json({"words": [_as_json(term)]})
        return
    click.echo(term.name)
    click.echo(_wrapped(term.text, "  "))
    if term.others:
        click.echo(f"  Also: {', '.join(term.others)}.")


def _as_json(term: Term) -> dict[str, object]:
    return {
        "word": term.name,
        "section": term.section,
        "sentence": term.sentence,
        "text": term.text,
        "others": list(term.others),
    }


def _print_list(terms: tuple[Term, ...]) -> None:
    section = ""
    for term in terms:
        if term.section != section:
            click.echo(f"{'' if not section else chr(10)}{term.section}")
            section = term.section
        click.echo(f"  {term.name}")
        click.echo(_wrapped(term.sentence, "      "))


def _wrapped(text: str, indent: str) -> str:
    return click.wrap_text(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
