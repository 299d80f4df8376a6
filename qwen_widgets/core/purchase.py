"""One purchase, from its claimed row to its picture (or text): submit, reconcile, poll, download, store.

The order of the steps is the guarantee: a row says `sending` before a byte of the submit leaves, the
prediction's id is written before anything else is looked at, and a picture is `stored` only after its file is
whole, checked, fsynced and named.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import stamina

from qwen_widgets.core import answers, pacing, pictures, reconcile, retrying
from qwen_widgets.core.answers import Prediction, read_text
from qwen_widgets.core.enhancer import is_address
from qwen_widgets.core.errors import (
    BudgetError,
    ExpiredError,
    KeyRefusedError,
    NotSentError,
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
from qwen_widgets.core.pacing import PollDelays, Stop
from qwen_widgets.core.records import Record, State
from qwen_widgets.core.request import Order

if TYPE_CHECKING:
    from qwen_widgets.core.engine import Engine

#: A fresh prediction may be unknown to the service for so long; seconds.
_FRESH = 30.0
_MOST_NOT_SENT = 5
_LONGEST_LIMITED = 900.0
_DOWNLOAD_TRIES = 8
#: Characters of an enhanced prompt; no model takes near so many.
_LONGEST_TEXT = 20_000


class RunSide(Protocol):
    """What a purchase asks of the run it belongs to."""

    stop: Stop

    def must_stop(self) -> bool:
        """Whether nothing more may be bought."""

    def halt(self, error: QwenError) -> None:
        """Buy nothing more in this run, for this reason."""

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
                self.run.tell(record.key, "completed", record)
                fetched = await (self._hear(record) if record.makes_text else self._fetch(record))
                if fetched is None:
                    return record
                record = fetched
            else:
                return record

    async def _move(self, record: Record, state: State, **values: Any) -> Record:
        # What is planned here is `sending` by the time that its answer comes.
        states: tuple[State, ...] = ("planned", "sending") if record.state == "planned" else (record.state,)

        def work(db: Store) -> Record:
            db.check_claim(record.id, *states)
            db.move(record.id, state, **values)
            return db.get(record.id)

        return await self.engine.ledger.run(work)

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
                if not go or not await self._announce(record, addresses):
                    await self.engine.ledger.run(partial(Store.forget_plan, row_id=record.id))
                    return None
                self.run.tell(record.key, "sending", record)
                try:
                    prediction = await self.engine.client.submit(self.request, addresses)
                except NotSentError as error:
                    not_sent += 1
                    if not_sent >= _MOST_NOT_SENT:
                        return await self._move(record, "rejected", error=error)
                    await self._move(record, "planned", note=error.message)
                except RateLimitedError as error:
                    limited_since = limited_since or self.engine.clock.monotonic()
                    if self.engine.clock.monotonic() - limited_since > _LONGEST_LIMITED:
                        return await self._move(record, "rejected", error=error)
                    self.engine.gate.limited(
                        error.retry_after, concurrency="concurren" in error.message.lower()
                    )
                    await self.engine.remember_window()
                    self.run.tell(
                        self.request.key,
                        "planned",
                        await self._move(record, "planned", note=error.message),
                        error,
                    )
                    continue
                except UnknownOutcomeError as error:
                    note = " ".join(text for text in (error.message, error.answer) if text)
                    return await self._move(record, "unknown", error=error, note=note)
                except QwenError as error:
                    if error.stops_run:
                        self.run.halt(error)
                    elif addresses:
                        # Perhaps the service finds nothing there: the next time it is brought anew.
                        await self.engine.uploads.forget(self.request.images, addresses)
                    return await self._move(record, "rejected", error=error)
                except BaseException:
                    lost = UnknownOutcomeError("The run was cut off while the order was being sent.")
                    self.engine.ledger.do(partial(Store.move, row_id=record.id, state="unknown", error=lost))
                    raise
                else:
                    # Before anything else is looked at: from here on this id is worth money.
                    written = await self.engine.ledger.run(partial(self._accept, record, prediction.id))
                    if self.engine.gate.accepted():
                        await self.engine.remember_window()
                    return written
            await self.run.stop.sleep(pacing.backoff(not_sent))

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

    async def _announce(self, record: Record, addresses: tuple[str, ...]) -> bool:
        """Write `sending`, durably; False where the run was stopped or the day's budget forbids it."""
        if self.run.must_stop():
            return False
        server_at = self.engine.client.now()
        try:
            await self.engine.ledger.run(
                partial(
                    Store.send,
                    row_id=record.id,
                    midnight=self.engine.clock.midnight(server_at),
                    server_at=server_at,
                    addresses=addresses,
                    account=self.engine.client.account,
                )
            )
        except BudgetError as error:
            self.run.halt(error)
            return False
        # The last look before the money: a stop that came while the row was written still counts.
        if self.run.must_stop():
            await self._move(record, "planned", note="stopped")
            return False
        self._sent = self.engine.clock.monotonic()
        self.engine.sendings.note(record.id, dated=server_at is not None)
        return True

    # --- poll ---------------------------------------------------------------------------------------------

    async def _poll(self, record: Record) -> Record | None:
        """Wait for a prediction's end; None where it stays open, and why has been told."""
        assert record.prediction_id is not None
        engine = self.engine
        known = await engine.durations(record.model)
        age = engine.sendings.age(record)
        began = engine.clock.monotonic() - (age if age < _FRESH else 0.0)
        until = engine.clock.monotonic() + pacing.deadline(known, scale=engine.time_scale)
        delays = PollDelays(known, lambda: engine.polling, age=age, rhythm=engine.rhythm)
        trouble: QwenError | None = None
        engine.polling += 1
        try:
            for delay in delays:
                await engine.rest(delay)
                prediction: Prediction | None = None
                try:
                    prediction = await engine.client.result(record.prediction_id)
                    trouble = None
                except KeyRefusedError as error:
                    self._leave_open(record, error)
                    return None
                except QwenError as error:
                    # A poll's error never fails a prediction.
                    trouble = error
                if prediction is not None and (ended := await self._ended(record, prediction)) is not None:
                    return ended
                if prediction is None and trouble is None:
                    # The embedded service lives as long as its kernel: what it doesn't know, it never will.
                    fresh = engine.clock.monotonic() - began <= _FRESH * engine.time_scale
                    if engine.free or not fresh:
                        if (elsewhere := await self._elsewhere(record)) is not None:
                            self._leave_open(record, elsewhere)
                            return None
                        gone = ExpiredError(
                            "The service no longer knows this prediction.", prediction_id=record.prediction_id
                        )
                        return await self._move(record, "expired", error=gone)
                if engine.clock.monotonic() > until:
                    break
        finally:
            engine.polling -= 1
        why = f" ({trouble.message})" if trouble is not None else ""
        self._leave_open(record, StillRunningError(f"It is still running on the server{why}."))
        return None

    def _leave_open(self, record: Record, error: QwenError) -> None:
        """Tell why it stays open; whoever asks next goes on from here."""
        error.paid = "yes"
        error.prediction_id = record.prediction_id
        self.run.tell(record.key, record.state, record, error)

    async def _elsewhere(self, record: Record) -> OtherKeyError | None:
        """Return why it proves nothing that the service doesn't know a prediction: another account may have it."""
        sent_with = await self.engine.ledger.run(partial(Store.sent_with, row_id=record.id))
        age = self.engine.sendings.by_dates(record)
        # After so long it is deleted there, too.
        if sent_with in ("", self.engine.client.account) or (age is not None and age > reconcile.KEPT):
            return None
        return OtherKeyError("It was bought with another API key, and this key's account does not show it.")

    async def _ended(self, record: Record, prediction: Prediction) -> Record | None:
        if prediction.failed:
            if prediction.code == answers.MEDIA_UNREACHABLE and record.images:
                await self.engine.uploads.forget(record.images, record.addresses)
            return await self._move(record, "failed", error=prediction.failure())
        if not prediction.completed:
            return None
        # How long one took that was taken up later can't be seen from here, and would spoil the polls' rhythm.
        took = None if self._sent is None else self.engine.clock.monotonic() - self._sent

        def work(db: Store) -> Record:
            outputs = json.dumps(prediction.outputs)
            flagged = int(prediction.flagged)
            db.check_claim(record.id, "submitted")
            db.move(
                record.id, "completed", outputs=outputs, flagged=flagged, seconds=took or prediction.seconds
            )
            if took is not None:
                db.write_duration(self.engine.provider, record.model, took)
            return db.get(record.id)

        return await self.engine.ledger.run(work)

    # --- download -----------------------------------------------------------------------------------------

    async def _fetch(self, record: Record) -> Record | None:
        """Download, check, store; the row says `stored` last. None where it stays open, and why has been told."""
        store = self.engine.store
        part = store.part(f"{record.id}-{record.key[:16]}")
        try:
            async with self.engine.downloading:
                sha256, checked = await self._download(record, part)
            await asyncio.to_thread(store.keep, part, sha256, checked.suffix)
        except ExpiredError as error:
            error.prediction_id = record.prediction_id
            return await self._move(record, "expired", error=error)
        except PictureError as error:
            error.prediction_id = record.prediction_id
            if part.exists():
                await asyncio.to_thread(store.set_aside, part)
            return await self._move(record, "invalid_output", error=error)
        except QwenError as error:
            # Paid for and at the server: it stays open, and the next run fetches it.
            self._leave_open(record, error)
            return None
        except OSError as error:
            self._leave_open(record, UnavailableError(f"The picture could not be stored ({error.strerror})."))
            return None
        return await self._move(
            record,
            "stored",
            sha256=sha256,
            suffix=checked.suffix,
            got_width=checked.size.width,
            got_height=checked.size.height,
        )

    async def _hear(self, record: Record) -> Record | None:
        """Take the text of a model that makes text, out of the answer or from the address in it."""
        try:
            output = record.outputs[0] if record.outputs else ""
            if is_address(output):
                output = await self._fetch_text(record)
            text = read_text(output)
            if len(text) > _LONGEST_TEXT:
                raise TextError(f"What came as a text has {len(text):,} characters.")
        except ExpiredError as error:
            error.prediction_id = record.prediction_id
            return await self._move(record, "expired", error=error)
        except TextError as error:
            error.prediction_id = record.prediction_id
            return await self._move(record, "invalid_output", error=error)
        except QwenError as error:
            self._leave_open(record, error)
            return None
        return await self._move(record, "stored", text=text)

    async def _fetch_text(self, record: Record) -> str:
        output, text = record.outputs[0], ""
        for last in (False, True):
            try:
                async for attempt in self._tries():
                    with attempt:
                        text = await self.engine.client.read_text(output.strip())
            except ExpiredError:
                if last or record.prediction_id is None:
                    raise
            else:
                return text
            # As with a picture: the result names a new address while it is kept, or the text itself.
            async for attempt in self._tries():
                with attempt:
                    output = (await self._fresh_outputs(record))[0]
            if not is_address(output):
                return output
        raise AssertionError("unreachable")

    async def _download(self, record: Record, part: Path) -> tuple[str, pictures.Checked]:
        outputs = record.outputs
        for last in (False, True):
            try:
                async for attempt in self._tries():
                    with attempt:
                        done = await self.engine.client.download(outputs[0], part)
                        checked = await asyncio.to_thread(_check, part, done.sha256)
            except ExpiredError:
                if last or record.prediction_id is None:
                    raise
            else:
                return done.sha256, checked
            # The address may have been a short-lived one: the result names a new one while it is kept.
            async for attempt in self._tries():
                with attempt:
                    outputs = await self._fresh_outputs(record)
        raise AssertionError("unreachable")

    async def _fresh_outputs(self, record: Record) -> tuple[str, ...]:
        assert record.prediction_id is not None
        again = await self.engine.client.result(record.prediction_id)
        if again is None and (elsewhere := await self._elsewhere(record)) is not None:
            raise elsewhere
        if again is None or again.failed:
            raise ExpiredError("The service no longer has what was made.")
        if not again.outputs:
            raise UnavailableError("The service does not say where it is.", paid="yes")
        return again.outputs

    def _tries(self) -> AsyncIterator[stamina.Attempt]:
        scale = self.engine.time_scale
        return stamina.retry_context(
            on=retrying.worth_another_try,
            attempts=_DOWNLOAD_TRIES,
            timeout=600,
            wait_initial=0.2 * scale,
            wait_max=10 * scale,
        ).__aiter__()


def _check(part: Path, sha256: str) -> pictures.Checked:
    """Look at the file itself once more: another kernel that has taken the row for abandoned may write to it, too."""
    if pictures.sha256_of(part) != sha256:
        raise UnavailableError("The picture's file was changed while it was fetched.", paid="yes")
    return pictures.check(part)
