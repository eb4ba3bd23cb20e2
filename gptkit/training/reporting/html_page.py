"""The HTML of a run's page: one file, nothing fetched, light or dark as the reader's system, one column on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptkit.training.reporting.diagnostics import Diagnostic

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1c2530; --muted: #66717f; --grid: #dfe4ea;
  --first: #2563c9; --second: #d9622b; --good: #1a7f4b; --note: #9a6700; --bad: #c0271d; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1a2028; --ink: #e4e9ef; --muted: #94a0ae; --grid: #2e3742;
  --first: #6ea4ff; --second: #ff9a66; --good: #4cc38a; --note: #e3b341; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem; }
.lead { color: var(--muted); margin: 0 0 1.25rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; }
.tile, figure, .verdict, .sample, details { background: var(--card); border: 1px solid var(--grid); border-radius: .6rem; }
.tile { padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.1rem; white-space: nowrap;
  font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: .85rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18.5rem, 100%), 1fr)); gap: .75rem; }
figure { margin: 0; padding: .8rem .8rem .4rem; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figcaption { font-size: .9rem; font-weight: 600; margin-bottom: .3rem; }
svg { display: block; width: 100%; height: auto; }
.column { display: none; }
@media (max-width: 40rem) { .whole { display: none; } .column { display: block; } }
.verdict { padding: .8rem 1rem; margin-bottom: .6rem; border-left: .3rem solid var(--level); }
.verdict b { color: var(--level); } .verdict p { margin: .2rem 0 0; }
.good { --level: var(--good); } .note { --level: var(--note); } .bad { --level: var(--bad); }
.sample { padding: .7rem 1rem; margin-bottom: .6rem; }
.sample small { color: var(--muted); }
.sample p { margin: .2rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font-family: ui-serif, Georgia, serif; }
details { padding: .7rem 1rem; margin-bottom: .6rem; } summary { cursor: pointer; font-weight: 600; }
details .sample { border: 0; padding: .5rem 0 0; margin: 0; }
pre { overflow-x: auto; font: .85rem/1.5 ui-monospace, monospace; margin: .6rem 0 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem 1rem; margin: 0; } dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
"""

MARKS = {"good": "✓", "note": "•", "bad": "✗"}


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """The whole page from the HTML of its sections, each with its heading (empty for none)."""
    body = "".join(f"{f'<h2>{escape(heading)}</h2>' if heading else ''}{content}\n" for heading, content in sections if content)
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f'<body><main><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>\n{body}</main></body></html>\n'
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair, as a file's name may hold, is no text


def tiles(facts: Sequence[tuple[str, str]]) -> str:
    """The figures that one looks for first: (value, what it is)."""
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in facts)
        + "</div>"
    )


def figures(images: Sequence[tuple[str, str, str]]) -> str:
    """Captions, SVG for a column or a phone, and SVG for the whole width of a desktop (empty: the figure takes a column)."""
    boxes = []
    for caption, column, whole in images:
        kind = "wide" if whole else "narrow"
        both = f'<div class="whole">{whole}</div><div class="column">{column}</div>' if whole else column
        boxes.append(f'<figure class="{kind}"><figcaption>{escape(caption)}</figcaption>{both}</figure>')
    return f'<div class="figures">{"".join(boxes)}</div>'


def verdicts(diagnostics: Sequence[Diagnostic]) -> str:
    """Returns the diagnostics, one box each."""
    return "".join(
        f'<div class="verdict {diagnostic.level}"><b>{MARKS[diagnostic.level]} {escape(diagnostic.title)}</b>'
        f"<p>{escape(diagnostic.text)}</p></div>"
        for diagnostic in diagnostics
    )


def samples(lines: Sequence[dict[str, Any]], *, earlier: int = 8) -> str:
    """The newest text of every prompt, and folded below it how the texts came to be: at most `earlier` of the steps before."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_prompt.setdefault(str(line["prompt"]), []).append(line)
    parts = []
    for samples_of_prompt in by_prompt.values():
        *before, newest = samples_of_prompt
        parts.append(_sample(newest))
        if before:
            count = min(earlier, len(before))
            shown = [before[round(index * (len(before) - 1) / max(count - 1, 1))] for index in range(count)]
            parts.append("<details><summary>How it came to that</summary>" + "".join(map(_sample, shown)) + "</details>")
    return "".join(parts)


def _sample(line: dict[str, Any]) -> str:
    prompt, text = escape(str(line["prompt"])), escape(str(line["text"]))
    scores = "".join(f" · {escape(name)} {value:.3f}" for name, value in line.items() if isinstance(value, float))
    return f'<div class="sample"><small>step {int(line["step"]):,}{scores}</small><p><b>{prompt}</b>{text}</p></div>'


def folded(title: str, text: str) -> str:
    """Plain text behind a line that opens it."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>" if text else ""


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Facts by name."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs) + "</dl>"
