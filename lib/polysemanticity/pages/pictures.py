"""Figures as pages show them: a picture that opens at its full size, an alt text, a caption, and its files.

The alt text says what is drawn, and the caption what to see in it, in the words of the notebook. Both end with the
verdicts on the claims that the figure decides and with what its intervals are, which come from claims.json.
"""

import io
import re
from pathlib import Path
from types import ModuleType

from PIL import Image

from polysemanticity import claims

THUMBNAIL = 480  # pixels
FILES = {"PDF": "pdf", "table": "csv", "made from": "json"}
SYMBOLS = {"<=": "≤", ">=": "≥", "-alpha": "−α", "alpha": "α"}
POWER = re.compile(r"(?<![\w.`])([A-Za-zα-ωΑ-Ω]|\d+(?:\.\d+)?)([\^_])(-?\w{1,5})(?!\w)")  # x_i, 0.9^i, i^-a
CODE = re.compile(r"(`[^`]+`)")


def escaped(plain: str) -> str:
    """Return plain text so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", plain).replace("\n", " ")


def text(plain: str) -> str:
    """Return plain text as Markdown in which powers, indices and named symbols are typeset, and `names` are code."""
    return "".join(part if part[:1] == "`" else _typeset(part) for part in CODE.split(plain))


def _typeset(plain: str) -> str:
    for name, symbol in SYMBOLS.items():
        plain = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", symbol, plain)
    pieces, end = [], 0
    for found in POWER.finditer(plain):
        pieces += [escaped(plain[end : found.start()]), f"${found[1]}{found[2]}{{{found[3]}}}$"]
        end = found.end()
    return "".join([*pieces, escaped(plain[end:])])


def alt(paper: ModuleType, name: str, rows: dict[str, dict]) -> str:
    """Return what a figure shows, with the verdicts that it decides, for those who do not see it."""
    decided = [f"{key} {row['verdict']}" for key, row in _decided(name, rows).items()]
    verdicts = f" Verdicts: {', '.join(decided)}." if decided else ""
    return paper.FIGURES[name] + verdicts


def caption(name: str, rows: dict[str, dict], sight: str = "") -> str:
    """Return what to see in a figure, what was decided by it, and which intervals those numbers have: Markdown."""
    decided = _decided(name, rows)
    links = [f"[{key}](#{key.lower()}) {claims.MARKS[row['verdict']]} {row['verdict']}" for key, row in decided.items()]
    kinds = dict.fromkeys(row["error"].rstrip(".") for row in decided.values() if row["error"])
    parts = [sight, f"It decides {', '.join(links)}." if links else ""]
    parts.append(f"Intervals: {text('; '.join(kinds))}." if kinds else "")
    return " ".join(part for part in parts if part)


def files(slug: str, name: str) -> str:
    """Return links to the files of a figure: Markdown."""
    return " · ".join(f"{{download}}`{label} </figures/{slug}/{name}.{suffix}>`" for label, suffix in FILES.items())


def figure(paper: ModuleType, name: str, rows: dict[str, dict], sight: str = "") -> str:
    """Return a figure of a page: Markdown."""
    told = f"{caption(name, rows, sight)}\n{name}: {files(paper.SLUG, name)}"
    return f":::{{figure}} {place(paper.SLUG, name)}\n:alt: {alt(paper, name, rows)}\n\n{told.strip()}\n:::"


def place(slug: str, name: str) -> str:
    """Return where the sources of the site have a figure's picture."""
    return f"/pictures/{slug}/{name}.webp"


def sights(document) -> dict[str, str]:
    """Return by figure what an executed notebook says is to be seen in it: the text below it that begins so."""
    found, waiting = {}, []
    for cell in document.cells:
        if cell.cell_type == "code":
            waiting += shown_in(cell, "figure")
        elif lead := re.match(r"\*\*(What to see|In one picture)\.\*\*\s*", cell.source):
            found |= dict.fromkeys(waiting[-1:], cell.source[lead.end() :].partition("\n\n")[0].replace("\n", " "))
            waiting = []
        else:
            waiting = []
    return found


def shown_in(cell, kind: str) -> list[str]:
    """Return the names of the figures, or the ids of the claims, that the outputs of an executed cell say they are."""
    marks = [output.get("metadata", {}).get("polysemanticity", {}) for output in cell.get("outputs", ())]
    return [mark[kind] for mark in marks if kind in mark]


def full(picture: Path) -> bytes:
    """Return a picture at its full size as WebP, without loss and at a third of a PNG."""
    return _webp(Image.open(picture).convert("RGB"), lossless=True, method=2)


def thumbnail(picture: Path) -> bytes:
    """Return a picture small enough for a gallery, as WebP."""
    with Image.open(picture) as opened:
        small = opened.convert("RGB").reduce(max(1, opened.width // (2 * THUMBNAIL)))
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return _webp(small, quality=85)


def _webp(picture: Image.Image, **how) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", **how)
    return buffer.getvalue()


def _decided(name: str, rows: dict[str, dict]) -> dict[str, dict]:
    return {key: row for key, row in rows.items() if row["figure"] == name}
