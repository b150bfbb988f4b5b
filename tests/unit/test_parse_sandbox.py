"""A file can hang, crash or exhaust the process that reads it, and nothing else."""

import asyncio
import contextlib
import os
from pathlib import Path

import psutil
import pytest

from engine.errors import DocumentError
from engine.knowledge.parse import sandbox
from engine.knowledge.parse.limits import Limits
from engine.knowledge.parse.sandbox import read_document
from tests.unit import parse_files

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder whose `engine.knowledge.parse` is a script that the test writes."""
    folder = tmp_path / "root" / "engine" / "knowledge" / "parse"
    folder.mkdir(parents=True)
    for each in (folder, folder.parent, folder.parent.parent):
        (each / "__init__.py").touch()
    monkeypatch.setattr(sandbox, "ROOT", tmp_path / "root")
    return folder / "__main__.py"


def put(path: Path, content: bytes | str) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def children() -> list[psutil.Process]:
    """All that reading started: the database that other tests share is none of it."""
    started = psutil.Process().children(recursive=True)
    return [one for one in started if "mongo_server.py" not in " ".join(one.cmdline())]


async def test_every_kind_comes_through(upload: Path) -> None:
    for name, content, text in (
        ("a.pdf", parse_files.pdf(["We open at eight."]), "We open at eight."),
        ("a.docx", parse_files.word(), "Parking is free."),
        ("a.csv", b"Name,Price\nCrown,900 dollars\n", "\x1eName: Crown. Price: 900 dollars."),
        ("a\n\0.txt", "Crème “brûlée”.".encode(), "Crème “brûlée”."),
    ):
        put(upload, content)
        assert text in (await read_document(upload, name)).pages[0][1]
    assert not children()


async def test_a_refusal_comes_through_as_it_is(upload: Path) -> None:
    put(upload, b"Just words.")
    with pytest.raises(DocumentError, match=r"^'a.pdf' is no PDF but plain text: upload a PDF"):
        await read_document(upload, "a.pdf")
    with pytest.raises(DocumentError, match="cannot be opened any more"):
        await read_document(upload.with_name("gone"), "a.pdf")


async def test_memory_is_bounded(upload: Path) -> None:
    put(upload, parse_files.word_with("word/document.xml", b"<a>" + b"<b/>" * 2_000_000 + b"</a>"))
    with pytest.raises(DocumentError, match="needs too much memory"):
        await read_document(upload, "a.docx", Limits(memory_bytes=200 << 20))
    put(upload, b"some words " * 3_000_000)
    with pytest.raises(DocumentError, match="needs too much memory"):
        await read_document(upload, "a.txt", Limits(memory_bytes=96 << 20, text_bytes=100 << 20))


async def test_one_that_hangs_is_ended_with_all_it_started(stand_in: Path, upload: Path) -> None:
    put(stand_in, "import subprocess, time\nsubprocess.Popen(['sleep', '60'])\ntime.sleep(60)\n")
    with pytest.raises(DocumentError, match=r"'a.pdf' takes longer than 0.5 s to read: split it"):
        await read_document(upload, "a.pdf", Limits(seconds=0.5))
    assert not children()


async def test_one_that_computes_for_ever_is_ended(stand_in: Path, upload: Path) -> None:
    put(stand_in, "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True:\n    pass\n")
    with pytest.raises(DocumentError, match="takes longer than 30 s to read"):
        await read_document(upload, "a.pdf", Limits(seconds=30))


async def test_cancelling_ends_it(stand_in: Path, upload: Path) -> None:
    put(stand_in, "import time\ntime.sleep(60)\n")
    reading = asyncio.create_task(read_document(upload, "a.pdf"))
    async with asyncio.timeout(5):
        while not children():  # noqa: ASYNC110 - nothing tells of a process that started
            await asyncio.sleep(0.01)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    assert reading.cancelled()
    assert not children()


@pytest.mark.parametrize(
    "script",
    [
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "raise KeyError('inside')\n",
        "print('no json')\n",
        'print(\'{"pages": [["x", 1]], "media_type": "text/plain"}\')\n',
        "print('[' * 100_000)\n",
        "import sys\nwhile True: sys.stdout.write('x' * 65536)\n",
    ],
)
async def test_one_that_crashes_or_babbles_is_one_line(stand_in: Path, upload: Path, script: str) -> None:
    put(stand_in, script)
    with pytest.raises(DocumentError, match=r"^'a.pdf' makes its reader fail: save it anew[^\n]*$"):
        await read_document(upload, "a.pdf", Limits(text_bytes=1000))
    assert not children()


async def test_it_is_confined_and_knows_no_secret(
    stand_in: Path, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_SECRET", "hush")
    put(
        stand_in,
        f"import sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
        "for each in [name for name in sys.modules if name.startswith('engine')]: del sys.modules[each]\n"
        "from engine.knowledge.parse.__main__ import confine\n"
        "from engine.knowledge.parse.limits import Limits\nconfine(Limits())\n"
        "import json, os, resource\nwritten = 'yes'\n"
        f"try:\n    open({str(upload)!r}, 'wb', buffering=0).write(b'x')\n"
        "except OSError:\n    written = 'no'\n"
        "said = [os.nice(0), resource.getrlimit(resource.RLIMIT_AS)[0], written,\n"
        "        os.getpid() == os.getpgid(0), [name for name in os.environ if name.startswith('PARLEY')]]\n"
        "print(json.dumps({'media_type': 'text/plain', 'pages': [[None, json.dumps(said)]]}))\n",
    )
    [(_, said)] = (await read_document(upload, "a.txt")).pages
    assert said == f'[{os.nice(0) + 10}, {1 << 30}, "no", true, []]'
