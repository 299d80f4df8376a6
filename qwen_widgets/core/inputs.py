"""Input pictures: what a person gives as one, checked before anything is sent, and its bytes kept.

A path, an address, a PIL image, an array, a cell of a grid, a run's cell (``3f2a…[0,2]``) or a kept picture
(``kept:3f2a…``). Whatever is wrong with one is a single sentence, and nothing has been uploaded or bought then.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from qwen_widgets.core import pictures, reading
from qwen_widgets.core.download import Downloads
from qwen_widgets.core.errors import InputError, PictureError, QwenError, clean
from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.core.models import Model
from qwen_widgets.core.paths import expanded
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.reading import guarded
from qwen_widgets.core.request import (
    KEPT,
    ImageRequest,
    InputPicture,
    MadeFrom,
    check_image_count,
    check_image_size,
)
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.core.transport import Timeouts

#: Bytes of one input picture.
LARGEST_INPUT = 50_000_000
#: Two letters at least: one is a drive. Some schemes go without slashes.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://|(file|data|blob|javascript):", re.IGNORECASE)
#: What to do about a cell whose stored picture is damaged.
_AGAIN = "run the cell that made it again: it is fetched again at no cost, while the service keeps it"
_RUN_CELL = re.compile(r"([0-9a-f]{12})\[\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*\]")
#: As a variable with a place in it is written.
_PLACE = re.compile(r"[^\W\d][\w.]*\[.*\]")
_WAYS = "a path, an https address, a PIL image, an array or a cell of a grid"


@dataclass(frozen=True, slots=True)
class Given:
    """A picture as it was given.

    Attributes
    ----------
    what : object
        A path, an address, the bytes of a file, a PIL image, an array.
    source : str
        How a cell's ``-i`` names it again; empty where only its kept bytes can be named.
    name : str
        What messages call it; empty is what its source or its place says.
    made_from : MadeFrom or None
    flagged : bool
        Whether moderation has marked it.
    """

    what: object
    source: str = ""
    name: str = ""
    made_from: MadeFrom | None = None
    flagged: bool = False


@runtime_checkable
class Offering(Protocol):
    """What can be given as a picture and knows how: a cell of a grid."""

    def as_input(self) -> Given:
        """Return its picture, and where it comes from."""


class Inputs:
    """Takes what is given for the requests of one provider.

    Parameters
    ----------
    loopback : bool
        Whether an address may be on this machine: only where the API is.
    """

    def __init__(self, ledger: Ledger, store: PictureStore, *, loopback: bool) -> None:
        self._ledger = ledger
        self._store = store
        self._loopback = loopback

    async def take(
        self, images: Sequence[object], models: Sequence[Model], *, fit: bool = False
    ) -> tuple[InputPicture, ...]:
        """Check what is given, and keep its bytes.

        Parameters
        ----------
        images : sequence of object
            In the order in which the models get them.
        models : sequence of Model
            All of them have to take every picture.
        fit : bool
            Whether a picture outside of their limits is scaled.

        Raises
        ------
        InputError
            One sentence; nothing was kept, uploaded or bought.
        """
        for model in models:
            check_image_count(len(images), model)
        taken = [await self._one(image, at, models, fit=fit) for at, image in enumerate(images, 1)]
        for picture, data in taken:
            await asyncio.to_thread(self._store.keep_input, data, picture.sha256, picture.suffix)
        return tuple(picture for picture, _ in taken)

    async def _one(
        self, image: object, at: int, models: Sequence[Model], *, fit: bool
    ) -> tuple[InputPicture, bytes]:
        given = _given(f"image {at}", image)
        name = given.name or (repr(_shown(given.source)) if given.source else str(at))
        try:
            given, data = await self._read(given, name)
            checked = await asyncio.to_thread(pictures.check_input, data)
            data = await asyncio.to_thread(pictures.upright, data)
            if fit:
                low = max(model.min_image_side for model in models)
                high = min(model.max_image_side for model in models)
                fitted = await asyncio.to_thread(pictures.scaled, data, low, high)
                if fitted is not data:
                    # The file is another one now, and can only be named by its kept bytes.
                    given, data = replace(given, source=""), fitted
                    checked = await asyncio.to_thread(pictures.check_input, data)
        except PictureError as error:
            raise _fault(name, f"it {error.message}") from None
        digest = hashlib.sha256(data).hexdigest()
        picture = InputPicture(
            digest,
            *checked.size,
            checked.suffix,
            given.source or f"{KEPT}{digest[:20]}",
            given.made_from,
            given.flagged,
        )
        for model in models:
            check_image_size(picture.size, model, name)
        return picture, data

    async def _read(self, given: Given, name: str) -> tuple[Given, bytes]:
        """Return the bytes of a file, and what has come to light about it."""
        what = given.what
        if isinstance(what, bytes):
            return given, what
        if isinstance(what, Path):
            if given.made_from is not None:
                return given, await asyncio.to_thread(_whole, what, name, _AGAIN)
            return given, await asyncio.to_thread(_file, expanded(what, f"image {name}"), name)
        if not isinstance(what, str):
            data = await asyncio.to_thread(pictures.encode, what)
            if what is None:
                raise _fault(name, f"it is None, where a picture is wanted; give {_WAYS}")
            if data is None:
                raise _fault(name, f"it is of the type {reading.type_name(what)}; give {_WAYS}")
            return given, data
        text = what.strip()
        if not text:
            raise _fault(name, f"it is empty; give {_WAYS}")
        if text.startswith(KEPT):
            kept = await asyncio.to_thread(self._store.find_input, text.removeprefix(KEPT))
            if kept is None:
                raise _fault(name, "there is no such picture among those kept here; give the file itself")
            return given, await asyncio.to_thread(_whole, kept, name, "give the file itself")
        if cell := _RUN_CELL.fullmatch(text):
            given, stored = await self._ledger.run(
                partial(self._of_run, cell[1], int(cell[2]), int(cell[3]), name)
            )
            return given, await asyncio.to_thread(_whole, stored, name, _AGAIN)
        if scheme := _SCHEME.match(text):
            kind = (scheme[1] or scheme[2]).lower()
            if kind not in ("http", "https"):
                raise _fault(name, f"an address with {kind}: is not opened; give {_WAYS}")
            return given, await self._fetched(text, name)
        path = expanded(Path(text), f"image {name}")
        if _PLACE.fullmatch(text) and not _exists(path):
            raise _fault(
                name, "there is no such file, and no variable with such a place (fox[0,2], photos[1])"
            )
        if text.isidentifier() and not _exists(path):
            raise _fault(name, "there is no variable and no file of that name")
        return given, await asyncio.to_thread(_file, path, name)

    def _of_run(self, run_id: str, row: int, column: int, name: str, db: Store) -> tuple[Given, Path]:
        """Return the stored picture of a cell of an earlier run."""
        run = db.read_run(run_id)
        if run is None:
            raise _fault(name, "the ledger has no such run; qw.history() lists them")
        sweep = Sweep.from_json(run[2])
        rows, columns = sweep.shape
        row, column = (index + count * (index < 0) for index, count in ((row, rows), (column, columns)))
        request = sweep.requests.get((row, column))
        if request is None:
            raise _fault(
                name, f"no picture was asked for there; the run has {rows} rows and {columns} columns"
            )
        record = db.latest(run[0], [request.key]).get(request.key)
        path = None
        if record is not None and record.sha256 is not None and record.suffix is not None:
            path = self._store.path(record.sha256, record.suffix)
        if path is None or record is None or record.state != "stored":
            raise _fault(name, "there is no picture there yet")
        return from_cell(path, request, run_id, (row, column), flagged=record.flagged), path

    async def _fetched(self, address: str, name: str) -> bytes:
        """Fetch a picture that lies at an address, with the guards of every download."""
        # Without the provider's app: the embedded service has nothing at another's address.
        downloads = Downloads(Timeouts(), loopback=self._loopback)
        self._store.inputs.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._store.inputs / f"{uuid.uuid4().hex}.part"
        problem = ""
        try:
            await downloads.download(address, part)
            return await asyncio.to_thread(_file, part, name)
        except InputError:
            raise
        except QwenError as error:
            problem = error.message.rstrip(".")
        finally:
            await downloads.aclose()
            with suppress(OSError):
                part.unlink()
        raise _fault(name, problem[:1].lower() + problem[1:])


@guarded
def _given(name: str, image: object) -> Given:  # noqa: ARG001  (a reader's arguments)
    """Return a picture as it was given; of a text and a path, the plain one."""
    given = image.as_input() if isinstance(image, Offering) else image
    if isinstance(given, Given):
        return given
    if isinstance(given, str):
        return Given(str.__str__(given), source=str.__str__(given))
    if isinstance(given, os.PathLike):
        plain = reading.path("images", given)
        return Given(plain, source=str(plain))
    return Given(bytes(given) if isinstance(given, bytearray | memoryview) else given)


def from_cell(
    path: Path, request: ImageRequest, run_id: str, place: tuple[int, int], *, flagged: bool
) -> Given:
    """Return a cell's stored picture as what another one can be made of, and where it comes from."""
    made = MadeFrom(request.key, run_id, *place, request.prompt, request.seed, request.model.id)
    return Given(path, source=f"{run_id}[{place[0]},{place[1]}]", made_from=made, flagged=flagged)


def _exists(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def _whole(kept: Path, name: str, way: str) -> bytes:
    """Return the bytes of a file that is named by them; what is damaged is neither uploaded nor paid for."""
    if not kept.exists():
        raise _fault(name, f"what was kept of it here is gone; {way}")
    data = _file(kept, name)
    if not hashlib.sha256(data).hexdigest().startswith(kept.stem):
        raise _fault(name, f"what is kept of it here has been damaged; {way}")
    return data


def _file(path: Path, name: str) -> bytes:
    try:
        found = path.stat()
        # A device or a pipe would never end.
        if not stat.S_ISREG(found.st_mode):
            problem = "it is not a file"
        elif found.st_size > LARGEST_INPUT:
            problem = f"it has more than {LARGEST_INPUT // 1_000_000} MB"
        else:
            return path.read_bytes()
    except FileNotFoundError:
        problem = "there is no such file"
    except OSError as error:
        problem = f"it can't be read ({error.strerror})"
    except ValueError:
        problem = "that can't be the name of a file"
    raise _fault(name, problem)


def _fault(name: str, problem: str) -> InputError:
    return InputError(f"image {name}: {clean(problem)}.")


def _shown(source: str) -> str:
    """Return a source fit for a message: short, and without the user name of an address."""
    return clean(re.sub(r"//[^/?#]*@", "//…@", source), longest=80, both_ends=True)
