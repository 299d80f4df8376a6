"""Uploads: an input picture's bytes brought to a provider once, and its address remembered while it works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import stamina

from qwen_widgets.core.errors import InputError, LedgerError, QwenError, UnavailableError
from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.core.pacing import Clock
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.retrying import worth_another_try
from qwen_widgets.core.states import KEPT
from qwen_widgets.core.upload_rows import UPLOAD_LEASE

#: The service deletes uploads after seven days; a picture that waits for its turn must still be there then.
USED_FOR = KEPT - 6 * 3600.0
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
_TRIES = 4
_NO_UPLOAD = "Nothing was bought; run the cell again."
#: Seconds between two looks at an upload that another kernel is making.
_LOOK = 0.25


class Uploader(Protocol):
    """The calls of a client that this needs."""

    async def upload(self, data: bytes, filename: str, content_type: str) -> str:
        """Bring a file to the service and return its address."""

    async def upload_form(self, data: bytes, filename: str, content_type: str) -> str:
        """Do it by the older way, which needs no storage that can be reached from here."""


class Uploads:
    """The uploads of one provider: once per content, also where twenty cells or two kernels want the same picture.

    Parameters
    ----------
    provider : str
        The ledger's name for it.
    lasting : bool
        Whether uploads outlive this process. The embedded service keeps them in its own memory.
    time_scale : float
        What the waits are multiplied with; for tests.
    """

    def __init__(
        self,
        client: Uploader,
        ledger: Ledger,
        store: PictureStore,
        *,
        provider: str,
        lasting: bool,
        clock: Clock,
        time_scale: float = 1.0,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._store = store
        self._provider = provider
        self._lasting = lasting
        self._clock = clock
        self._scale = time_scale
        self._known: dict[str, str] = {}
        #: The uploads under way here, by hash; who waits for one doesn't end it by going away.
        self._under_way: dict[str, asyncio.Task[str]] = {}

    async def addresses(self, pictures: Sequence[InputPicture]) -> tuple[str, ...]:
        """Return where the service finds these pictures; what is not there yet is brought there.

        Raises
        ------
        QwenError
            It could not be; nothing was bought.
        """
        return tuple(await asyncio.gather(*(self._address(picture) for picture in pictures)))

    async def forget(self, pictures: Sequence[InputPicture], addresses: Sequence[str]) -> None:
        """Drop addresses at which the service found nothing: the next use uploads anew."""
        for picture, address in zip(pictures, addresses, strict=False):
            if self._known.get(picture.sha256) == address:
                del self._known[picture.sha256]
            forget = partial(
                Store.forget_upload, provider=self._provider, sha256=picture.sha256, address=address
            )
            await self._ledger.run(forget)

    async def _address(self, picture: InputPicture) -> str:
        task = self._under_way.get(picture.sha256)
        if task is None:
            task = asyncio.create_task(self._obtain(picture))
            self._under_way[picture.sha256] = task
            task.add_done_callback(lambda _: self._under_way.pop(picture.sha256, None))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            raise
        except QwenError as error:
            # An error of its own for each cell: what is told of one may be changed.
            next_step = _NO_UPLOAD if isinstance(error, UnavailableError) else error.next_step
            told = type(error)(error.message, paid="no", next_step=next_step)
        raise told

    async def _obtain(self, picture: InputPicture) -> str:
        """Return the address, uploading where it is this process's turn."""
        sha256 = picture.sha256
        if not self._lasting:
            if sha256 not in self._known:
                self._known[sha256] = await self._upload(picture)
            return self._known[sha256]
        row = {"provider": self._provider, "sha256": sha256}
        while True:
            address, mine = await self._ledger.run(lambda db: db.claim_upload(**row))
            if address is not None:
                return address
            if mine:
                break
            await asyncio.sleep(_LOOK * self._scale)
        renewing = asyncio.create_task(self._renew(row))
        try:
            address = await self._upload(picture)
        except BaseException:
            self._ledger.do(lambda db: db.forget_upload(**row))
            raise
        finally:
            renewing.cancel()
        until = self._clock.wall() + USED_FOR
        await self._ledger.run(lambda db: db.write_upload(**row, address=address, expires_at=until))
        return address

    async def _renew(self, row: dict[str, str]) -> None:
        while True:
            await asyncio.sleep(UPLOAD_LEASE / 3)
            with contextlib.suppress(LedgerError):
                await self._ledger.run(lambda db: db.renew_upload(**row))

    async def _upload(self, picture: InputPicture) -> str:
        data = await asyncio.to_thread(self._store.read_input, picture.sha256, picture.suffix)
        if data is None:
            raise InputError(
                f"image {picture.name}: its bytes are no longer kept here as they were given; give it again with -i."
            )
        # Not the user's own file name: it is nobody else's business.
        file = data, f"{picture.sha256[:20]}{picture.suffix}", _TYPES[picture.suffix]
        try:
            return await self._upload_patiently(*file)
        except UnavailableError as error:
            problem = error
        # A storage can be out of reach from here, or out of order, where the API is not.
        with contextlib.suppress(QwenError):
            return await self._client.upload_form(*file)
        raise problem

    async def _upload_patiently(self, data: bytes, name: str, kind: str) -> str:
        async for attempt in stamina.retry_context(
            on=worth_another_try,
            attempts=_TRIES,
            timeout=600,
            wait_initial=0.5 * self._scale,
            wait_max=10 * self._scale,
        ):
            with attempt:
                return await self._client.upload(data, name, kind)
        raise AssertionError("unreachable")
