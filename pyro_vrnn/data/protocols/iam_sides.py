"""Side files of IAM-OnDB: what was written, and who wrote it."""

import re
from collections.abc import Collection

from .plan import Side, base, suffix

HEAD = 1 << 16  # bytes of a form's XML that are read: who wrote it stands before its strokes

# original/a01/a01-000/strokesu.xml is the form a01-000u, strokes.xml the form a01-000.
_ORIGINAL = re.compile(r"(?P<form>[a-z]\d{2}-\d{3})/strokes(?P<letter>[a-z]?)\.xml$", re.IGNORECASE)
_WRITER = re.compile(r"<Form\b[^>]{0,2000}?\bwriterID\s*=\s*[\"'](?P<writer>[\w.-]{1,40})[\"']")
_MAPPING = re.compile(r"(?P<form>[a-z]\d{2}-\d{3}[a-z]?)[\s,;:=]+(?P<writer>[\w.-]{1,40})")


def transcript(text: str | None) -> list[str]:
    """The lines of a form as they were written: those under `CSR:` that are not empty.

    The part above it, `OCR:`, is what a recogniser made of them.
    """
    lines = [line.strip() for line in (text or "").splitlines()]
    start = lines.index("CSR:") + 1 if "CSR:" in lines else len(lines)
    return [line for line in lines[start:] if line]


def writers(names: Collection[str], forms: Collection[str], side: Side) -> dict[str, str]:
    """Who wrote each of these forms, as far as `forms.txt` or, without it, the forms' own XML say so."""
    found: dict[str, str] = {}
    for name in sorted(names):
        if base(name).lower() == "forms.txt":
            for line in (side(name) or "").splitlines():
                match = _MAPPING.match(line.strip())
                if match and match["form"].lower() in forms:
                    found.setdefault(match["form"].lower(), match["writer"])
    for name in sorted(names):
        match = _ORIGINAL.search(name) if suffix(name) == ".xml" else None
        form = None if match is None else (match["form"] + match["letter"]).lower()
        if form in forms and form not in found:
            assert form is not None
            writer = _WRITER.search(side(name, HEAD) or "")
            if writer:
                found[form] = writer["writer"]
    return found
