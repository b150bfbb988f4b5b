"""Makes the files that the parser's tests read: PDFs by hand, Word documents with python-docx."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence

import docx
from pypdf import PdfReader, PdfWriter

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def pdf(*pages: Sequence[str]) -> bytes:
    """A PDF whose pages have these lines; a page without lines is blank, as a scan is to a reader."""
    return pdf_of_streams([_page_stream(lines) for lines in pages])


def pdf_of_streams(streams: Sequence[bytes]) -> bytes:
    """A PDF with one page for each content stream; streams are stored deflated."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>".encode(),
        FONT,
    ]
    for number, stream in enumerate(streams):
        packed = zlib.compress(stream)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R >>" % (5 + 2 * number)
        )
        head = b"<< /Length %d /Filter /FlateDecode >>" % len(packed)
        objects.append(head + b"\nstream\n" + packed + b"\nendstream")
    return _assemble(objects)


def _page_stream(lines: Sequence[str]) -> bytes:
    shown = "".join(f"({line}) Tj T*\n" for line in lines)
    return f"BT /F1 12 Tf 14 TL 72 720 Td\n{shown}ET".encode("latin-1")


def _assemble(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(
        out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    )


def protected_pdf(content: bytes, *, user: str, owner: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(content)))
    writer.encrypt(user, owner, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def word() -> bytes:
    """A Word document with headings, a paragraph, a list and a table."""
    document = docx.Document()
    document.add_heading("Clinic", 0)
    document.add_heading("Prices", 1)
    document.add_paragraph("All prices include tax.")
    document.add_paragraph("No deposit is asked for", style="List Bullet")
    table = document.add_table(rows=3, cols=2)
    for row, cells in zip(
        table.rows, (("Name", "Price"), ("Cleaning", "85 dollars"), ("Crown", "900 dollars")), strict=True
    ):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.add_heading("Parking", 2)
    document.add_paragraph("Parking is free.")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def word_with(member: str, content: bytes) -> bytes:
    """The Word document with one of its parts replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word())) as source, zipfile.ZipFile(out, "w", 8) as target:
        for info in source.infolist():
            target.writestr(info.filename, content if info.filename == member else source.read(info))
    return out.getvalue()


def word_of_parking() -> bytes:
    """A Word document with a heading, a paragraph and a table."""
    document = docx.Document()
    document.add_heading("Parking", 1)
    document.add_paragraph("Parking is free for patients, behind the building.")
    table = document.add_table(rows=2, cols=2)
    for row, cells in zip(table.rows, (("Treatment", "Price"), ("Whitening", "250 dollars")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def bomb() -> bytes:
    """A Word document whose text unpacks to 40 MiB."""
    return zipped(**{"word__document.xml": b"<x>" + bytes(40 << 20)})
