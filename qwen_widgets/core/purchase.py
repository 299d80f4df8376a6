"""One purchase, from its claimed row to its picture (or text): submit, reconcile, poll, download, store.

The order of the steps is the guarantee: a row says `sending` before a byte of the submit leaves, the
prediction's id is written before anything else is looked at, and a picture is `stored` only after its file is
whole, checked, fsynced and named.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import stamina

from qwen_widgets.core import answers, pacing, pictures, retrying, states
from qwen_widgets.core.answers import Prediction, read_text
from qwen_widgets.core.enhancer import is_address
from qwen_widgets.core.errors import (
    AddressError,
    BudgetError,
    ExpiredError,
    KeyRefusedError,
    LedgerError,
    NotSentError,
    NotTakenError,
    OtherKeyError,
    PictureError,
    QwenError,
    RateLimitedError,
    StillRunningError,
    TextError,
    UnavailableError,
    UnknownOutcomeError,
)
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.lost_answers import LostAnswers
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.records import Record
from qwen_widgets.core.request import Order
from qwen_widgets.core.states import Heard, State

if TYPE_CHECKING:
    from qwen_widgets.core.engine import Engine

T = TypeVar("T")
#: A fresh prediction may be unknown to the service for so long; seconds.
_FRESH = 30.0
#: Seconds for which a run asks on for a prediction that the service says it hasn't.
_MISSING = 60.0
_MOST_NOT_SENT = 5
_LONGEST_LIMITED = 900.0
_FETCH_TRIES = 11
#: Characters of an enhanced prompt; no model takes near so many.
_LONGEST_TEXT = 20_000


class RunSide(Protocol):
    """What a purchase asks of the run it belongs to."""

    stop: Stop

    def must_stop(self) -> bool:
        """Whether nothing more may be bought."""

    def halt(self, error: QwenError) -> None:
        """Buy nothing more in this run, for this reason."""

    def made(self, key: str) -> None:
        """Say that the service is done with it: the next one may be sent, while this one is fetched."""

    def tell(self, key: str, state: State, record: Record, error: QwenError | None = None) -> None:
        """Say how far it is."""


class Purchase:
    """Drives one claimed row to its end, or to a named state from which it can be taken up again.

    Parameters
    ----------
    request : Order or None
        None for an unassigned row, which can only be fetched.
    """

    def __init__(self, engine: Engine, run: RunSide, request: Order | None) -> None:
        self.engine = engine
        self.run = run
        self.request = request
        #: When this process sent it, by the monotonic clock; None where another did.
        self._sent: float | None = None
        #: Whether this process has heard that the service has no such prediction.
        self._was_missed = False
        self._lost_answers = LostAnswers(engine, run)

    async def drive(self, record: Record) -> Record | None:
        """Bring a row as far as it goes.

        Returns
        -------
        Record or None
            The row in its last state (an open one whose reason has been told), or None where the run was stopped
            before anything was sent.

        Raises
        ------
        ClaimLostError
            The row is another's to work on by now.
        """
        while True:
            if record.state == "planned":
                sent = await self._submit(record)
                if sent is None:
                    return None
                record = sent
            elif record.state == "unknown":
                self.run.tell(record.key, "unknown", record, record.error)
                looked = await self._lost_answers.settle(record)
                if looked.state == "unknown":
                    return looked
                record = looked
            elif record.state == "submitted":
                self.run.tell(record.key, "submitted", record)
                ended = await self._poll(record)
                if ended is None:
                    return record
                record = ended
            elif record.state == "completed":
                self.run.made(record.key)
                self.run.tell(record.key, "completed", record)
                fetched = await self._fetch(record)
                if fetched is None:
                    return record
                record = fetched
            else:
                return record

    async def _go(self, record: Record, heard: Heard, **values: Any) -> Record:
        """Bring the row to where the table says that this leads; the row as it is then."""
        return await self.engine.ledger.run(lambda db: db.go(record, heard, **values))

    # --- submit -----------------------------------------------------------------------------------------

    async def _submit(self, record: Record) -> Record | None:
        """Buy; None where the run was stopped before anything was sent."""
        assert self.request is not None
        # Before the row is `sending`: what goes wrong here has cost nothing.
        addresses = await self._upload(record, self.request)
        not_sent = 0
        limited_since: float | None = None
        while True:
            async with self.engine.gate.turn(self.run.stop) as go:
                sending = await self._announce(record, addresses) if go else None
                if sending is None:
                    await self.engine.ledger.run(partial(Store.forget_plan, row_id=record.id))
                    return None
                self.run.tell(record.key, "sending", sending)
                try:
                    prediction = await self.engine.client.submit(self.request, addresses)
                except NotSentError as error:
                    not_sent += 1
                    if not_sent >= _MOST_NOT_SENT:
                        return await self._go(sending, Heard.NEVER_SENT, error=error)
                    record = await self._go(sending, Heard.NOT_SENT, note=error.message)
                except RateLimitedError as error:
                    limited_since = limited_since or self.engine.clock.monotonic()
                    if self.engine.clock.monotonic() - limited_since > _LONGEST_LIMITED:
                        return await self._go(sending, Heard.LIMITED_FOR_LONG, error=error)
                    self.engine.gate.limited(error.retry_after, concurrency=error.limit == "concurrency")
                    await self.engine.remember_window()
                    record = await self._go(sending, Heard.LIMITED, note=error.message)
                    self.run.tell(record.key, "planned", record, error)
                    continue
                except UnknownOutcomeError as error:
                    note = " ".join(text for text in (error.message, error.answer) if text)
                    return await self._go(sending, Heard.LOST, error=error, note=note)
                except QwenError as error:
                    return await self._refused(sending, error, addresses)
                except BaseException:
                    lost = UnknownOutcomeError("The run was cut off while the order was being sent.")
                    self.engine.ledger.do(partial(Store.step, row_id=record.id, heard=Heard.LOST, error=lost))
                    raise
                else:
                    # Before anything else is looked at: from here on this id is worth money.
                    written = await self.engine.ledger.run(partial(self._accept, sending, prediction.id))
                    if self.engine.gate.accepted():
                        await self.engine.remember_window()
                    return written
            await self.run.stop.sleep(pacing.backoff(not_sent))

    async def _refused(self, sending: Record, error: QwenError, addresses: tuple[str, ...]) -> Record:
        """End a row whose order made nothing; only the service's own word about the request is kept."""
        if error.stops_run:
            self.run.halt(error)
        elif addresses:
            # Perhaps the service finds nothing there (yet): the next time it is brought anew, and asked again.
            assert self.request is not None
            await self.engine.uploads.forget(self.request.images, addresses)
            error = NotTakenError(error.message)
        heard = Heard.NOT_TAKEN if error.may_retry else Heard.REFUSED
        return await self._go(sending, heard, error=error)

    @staticmethod
    def _accept(record: Record, prediction_id: str, db: Store) -> Record:
        db.answered(record.id, prediction_id)
        return db.get(record.id)

    async def _upload(self, record: Record, request: Order) -> tuple[str, ...]:
        """Have the input pictures where the service finds them; a run that is stopped uploads nothing."""
        if not request.images or self.run.must_stop():
            return ()
        try:
            return await self.engine.uploads.addresses(request.images)
        except QwenError as error:
            if error.stops_run:
                self.run.halt(error)
            await self.engine.ledger.run(partial(Store.forget_plan, row_id=record.id))
            raise

    async def _announce(self, record: Record, addresses: tuple[str, ...]) -> Record | None:
        """Write `sending`, durably; None where the run was stopped or the day's budget forbids it."""
        if self.run.must_stop():
            return None
        server_at = self.engine.client.now()

        def announce(db: Store) -> Record:
            db.send(
                record.id,
                midnight=self.engine.clock.midnight(server_at),
                server_at=server_at,
                addresses=addresses,
                account=self.engine.client.account,
            )
            return db.get(record.id)

        try:
            sending = await self.engine.ledger.run(announce)
        except BudgetError as error:
            self.run.halt(error)
            return None
        # The last look before the money: a stop that came while the row was written still counts.
        if self.run.must_stop():
            await self._go(sending, Heard.HELD_BACK, note="stopped")
            return None
        self._sent = self.engine.clock.monotonic()
        self.engine.sendings.note(record.id, dated=server_at is not None)
        return sending

    # --- poll ---------------------------------------------------------------------------------------------

    async def _poll(self, record: Record) -> Record | None:
        """Wait for a prediction's end; None where it stays open, and why has been told."""
        assert record.prediction_id is not None
        engine = self.engine
        known = await engine.known_durations(record.model)
        age = engine.sendings.age(record)
        began = engine.clock.monotonic() - (age if age < _FRESH else 0.0)
        until = engine.clock.monotonic() + pacing.deadline(known, scale=engine.time_scale)
        since = engine.clock.monotonic() - age
        trouble: QwenError | None = None
        missing = 0.0
        with engine.polled():
            for delay in engine.delays(known, lambda: engine.clock.monotonic() - since):
                try:
                    prediction = await engine.watch.look(record.prediction_id, delay)
                except KeyRefusedError as error:
                    await self._leave_open(record, error)
                    return None
                except QwenError as error:
                    # A poll's error never fails a prediction.
                    trouble = error
                else:
                    if prediction is not None:
                        missing, trouble = 0.0, None
                        if (ended := await self._ended(record, prediction)) is not None:
                            return ended
                        if prediction.empty:
                            trouble = UnavailableError(
                                "it is completed, and not a word of where the result is"
                            )
                    elif engine.free or engine.clock.monotonic() - began > _FRESH * engine.time_scale:
                        missing = missing or engine.clock.monotonic()
                        trouble = await self._missed(record)
                        if isinstance(trouble, ExpiredError):
                            return await self._go(record, Heard.GONE, error=trouble)
                        if (
                            isinstance(trouble, OtherKeyError)
                            or engine.clock.monotonic() - missing > _MISSING * engine.time_scale
                        ):
                            await self._leave_open(record, trouble)
                            return None
                if engine.clock.monotonic() > until:
                    break
        why = f" ({trouble.message})" if trouble is not None else ""
        await self._leave_open(record, StillRunningError(f"It is still running on the server{why}."))
        return None

    async def _leave_open(self, record: Record, error: QwenError) -> None:
        """Tell why it stays open, and keep that with it; whoever asks next goes on from here."""
        error.paid = "yes"
        error.prediction_id = record.prediction_id
        with contextlib.suppress(LedgerError):
            await self.engine.ledger.run(partial(Store.keep_trouble, row_id=record.id, error=error))
        self.run.tell(record.key, record.state, record, error)

    async def _missed(self, record: Record) -> QwenError:
        """Return what it means that the service has just said that it has no such prediction."""
        # One answer alone may have a wrong date.
        again, self._was_missed = self._was_missed, True
        now = self.engine.client.now()
        too_old = states.is_too_old(now, record.server_at)
        if not too_old and not self.engine.free and (elsewhere := await self._elsewhere(record)) is not None:
            return elsewhere
        # The embedded service lives as long as its kernel: what it doesn't know, it never will.
        gone = self.engine.free or (again and (too_old or states.is_gone(now, record.missed_at)))
        if not gone:
            if now is not None:
                await self.engine.ledger.run(partial(Store.note_missed, row_id=record.id, at=now))
            return UnavailableError("The service says that it has no such prediction, which may pass.")
        return ExpiredError("The service no longer has this prediction.", prediction_id=record.prediction_id)

    async def _there(self, record: Record) -> None:
        """Note that the service has the prediction: an earlier 404 of it meant nothing."""
        if self._was_missed or record.missed_at is not None:
            self._was_missed = False
            await self.engine.ledger.run(partial(Store.note_there, row_id=record.id))

    async def _elsewhere(self, record: Record) -> OtherKeyError | None:
        """Return why it proves nothing that the service doesn't know a prediction: another account may have it."""
        sent_with = await self.engine.ledger.run(partial(Store.sent_with, row_id=record.id))
        if sent_with in ("", self.engine.client.account):
            return None
        return OtherKeyError("It was bought with another API key, and this key's account does not show it.")

    async def _ended(self, record: Record, prediction: Prediction) -> Record | None:
        if prediction.failed or prediction.completed:
            # Before anything is written down: the slot is the scarcest thing of a run.
            self.run.made(record.key)
        await self._there(record)
        if prediction.failed:
            if prediction.code == answers.MEDIA_UNREACHABLE and record.images:
                await self.engine.uploads.forget(record.images, record.addresses)
            return await self._go(record, Heard.FAILED, error=prediction.failure())
        if not prediction.completed:
            return None
        # How long one took that was taken up later can't be seen from here, and would spoil the polls' rhythm.
        took = None if self._sent is None else self.engine.clock.monotonic() - self._sent
        if took is not None:
            self.engine.learn_duration(record.model, took)
            write = partial(
                Store.write_duration, provider=self.engine.provider, model=record.model, seconds=took
            )
            self.engine.ledger.do(write)
        return await self._go(
            record,
            Heard.COMPLETED,
            outputs=json.dumps(prediction.outputs),
            flagged=int(prediction.flagged),
            seconds=took or prediction.seconds,
        )

    # --- fetch --------------------------------------------------------------------------------------------

    async def _fetch(self, record: Record) -> Record | None:
        """Have what was made here: the row says `stored` last. None where it stays open, and why has been told."""
        try:
            if record.makes_text:
                return await self._go(record, Heard.ARRIVED, text=await self._obtain(record, self._read))
            sha256, checked = await self._obtain(record, partial(self._download, record))
        except ExpiredError as error:
            return await self._go(record, Heard.GONE, error=error)
        except QwenError as error:
            # Paid for and at the server: it stays open, and the next run fetches it.
            await self._leave_open(record, error)
            return None
        except OSError as error:
            broken = UnavailableError(f"The picture could not be stored ({error.strerror}).")
            await self._leave_open(record, broken)
            return None
        return await self._go(
            record,
            Heard.ARRIVED,
            sha256=sha256,
            suffix=checked.suffix,
            got_width=checked.size.width,
            got_height=checked.size.height,
        )

    async def _obtain(self, record: Record, take: Callable[[str], Awaitable[T]]) -> T:
        """Take what the outputs name, tried for minutes: from the address at hand, and then from fresh ones.

        Raises
        ------
        ExpiredError
            It is proven that the service has nothing any more.
        QwenError
            The last of the tries' errors; all of them may pass.
        """
        output = record.outputs[0] if record.outputs else ""
        # Where the last run got no further, or the address is not known, the service is asked first.
        stale, afresh = record.error is not None or not output, False

        def worth_another_try(error: Exception) -> bool:
            # An address that isn't opened may be replaced by one that is, once.
            unfit = isinstance(error, AddressError) and not afresh
            return unfit or retrying.worth_another_try(error)

        async for attempt in self._tries(worth_another_try):
            with attempt:
                if stale:
                    output, afresh = await self._fresh_output(record), True
                try:
                    return await take(output)
                except (AddressError, PictureError, TextError):
                    stale = True
                    raise
        raise AssertionError("unreachable")

    async def _download(self, record: Record, address: str) -> tuple[str, pictures.Checked]:
        store = self.engine.store
        part = store.part(f"{record.id}-{record.key[:16]}")
        await self.engine.give_way()
        # For one try: pictures that come are not held up by one that doesn't.
        async with self.engine.downloading:
            try:
                done = await self.engine.client.download(address, part)
                checked = await asyncio.to_thread(_check, part, done.sha256)
                await asyncio.to_thread(store.keep, part, done.sha256, checked.suffix)
            except PictureError:
                if part.exists():
                    await asyncio.to_thread(store.set_aside, part)
                raise
        return done.sha256, checked

    async def _read(self, output: str) -> str:
        """Return the text that an output is, or that is at the address in it."""
        text = read_text(await self.engine.client.read_text(output.strip()) if is_address(output) else output)
        if len(text) > _LONGEST_TEXT:
            raise TextError(f"What came as a text has {len(text):,} characters.")
        return text

    async def _fresh_output(self, record: Record) -> str:
        """Ask the service where the result is now."""
        assert record.prediction_id is not None
        again = await self.engine.client.result(record.prediction_id)
        if again is None:
            raise await self._missed(record)
        await self._there(record)
        if not again.outputs:
            raise UnavailableError("The service does not say where the result is.", paid="yes")
        return again.outputs[0]

    def _tries(self, worth: Callable[[Exception], bool]) -> AsyncIterator[stamina.Attempt]:
        """Return eleven tries within about four minutes."""
        scale = self.engine.time_scale
        return stamina.retry_context(
            on=worth,
            attempts=_FETCH_TRIES,
            timeout=900,
            wait_initial=0.5 * scale,
            wait_max=60 * scale,
            wait_jitter=0.5 * scale,
        ).__aiter__()


def _check(part: Path, sha256: str) -> pictures.Checked:
    """Look at the file itself once more: another kernel that has taken the row for abandoned may write to it, too."""
    if pictures.sha256_of(part) != sha256:
        raise UnavailableError("The picture's file was changed while it was fetched.", paid="yes")
    return pictures.check(part)
