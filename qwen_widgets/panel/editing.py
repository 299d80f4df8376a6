"""The panel's input pictures: given in the page or from Python, checked and kept before anything is asked."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from qwen_widgets.core.errors import QwenError, clean
from qwen_widgets.core.inputs import Given
from qwen_widgets.core.models import DEFAULT_EDIT_MODEL, SHELF, Model
from qwen_widgets.core.request import InputPicture
from qwen_widgets.portal import portal
from qwen_widgets.studio import studio

_QUOTES = "\"'"


class Editing:
    """The pictures that a panel's runs are made with."""

    def __init__(self) -> None:
        self.taken: tuple[InputPicture, ...] = ()
        self._given: tuple[object, ...] = ()
        self.error: QwenError | None = None
        self._reading: Future[None] | None = None
        #: The models that were chosen before there were pictures.
        self._before = ""

    def read(self, images: tuple[object, ...], models: tuple[Model, ...], *, fit: bool) -> Future[None]:
        """Begin to check and keep some pictures, on the portal."""
        self._given = images
        self._reading = portal.submit(self._read(images, models, fit=fit))
        return self._reading

    async def _read(self, images: tuple[object, ...], models: tuple[Model, ...], *, fit: bool) -> None:
        taken: tuple[InputPicture, ...] = ()
        fault: QwenError | None = None
        try:
            taken = await studio().take(images, models, fit=fit)
        except QwenError as error:
            fault = error
        # Others may have been given while these were fetched.
        if self._given is images:
            self.taken, self.error = taken, fault

    @property
    def reading(self) -> bool:
        """Whether pictures are still being read."""
        return self._reading is not None and not self._reading.done()

    def settled(self) -> tuple[InputPicture, ...]:
        """Return the pictures that were read.

        Raises
        ------
        QwenError
            One of them can't be used.
        """
        if self.error is not None:
            raise self.error
        return self.taken

    async def ready(self) -> None:
        """Wait until the pictures are read; on the portal."""
        if self._reading is not None:
            await asyncio.wrap_future(self._reading)

    def models_for(self, images: tuple[object, ...], now: str, models: tuple[Model, ...]) -> str:
        """Return the models that fit: with pictures those that edit, without the ones that were chosen before."""
        if images and not all(model.takes_images for model in models):
            self._before = now
            found = [
                model if model.takes_images else SHELF.find(f"{model.name}-edit") or DEFAULT_EDIT_MODEL
                for model in models
            ]
            return ",".join(dict.fromkeys(model.name for model in found))
        if not images and self._before and any(model.min_images for model in models):
            return self._before
        return now

    def words(self) -> str:
        """Return what a run is made with, in words: ``boat.png, 1280×720``."""
        found = []
        for picture, given in zip(self.taken, self._given, strict=False):
            # A file of the page has a name, and its bytes alone say what it is.
            name = given.name if isinstance(given, Given) else picture.name
            found.append(f"{name.strip(_QUOTES)}, {picture.size}")
        return " · ".join(found)


def uploaded(files: Any) -> tuple[Given, ...]:
    """Return the files that a page has given; a path or a number in the place of bytes is no file."""
    return tuple(
        Given(bytes(file["content"]), name=repr(clean(file["name"], longest=80, both_ends=True)))
        for file in files
        if isinstance(file["content"], bytes | memoryview)
    )
