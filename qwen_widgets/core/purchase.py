"""One purchase, from its claimed row to its picture: submit, reconcile, poll, download, store.

The order of the steps is the guarantee: a row says `sending` before a byte of the submit leaves, the
prediction's id is written before anything else is looked at, and a picture is `stored` only after its file is
whole, checked, fsynced and named.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import stamina

from qwen_widgets.core import pacing, pictures, reconcile
from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.errors import (
    BudgetError,
    ExpiredError,
    KeyRefusedError,
    NotSentError,
    PictureError,
    QwenError,
    RateLimitedError,
    StillRunningError,
    UnavailableError,
    UnknownOutcomeError,
)
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.pacing import PollDelays, Stop
from qwen_widgets.core.records import Record, State
from qwen_widgets.core.request import ImageRequest

if TYPE_CHECKING:
    from qwen_widgets.core.engine import Engine

#: A fresh prediction may be unknown to the service for so long; seconds.
_FRESH = 30.0
_MOST_NOT_SENT = 5
_LONGEST_LIMITED = 900.0
_DOWNLOAD_TRIES = 8
_ABSENT = "proven absent"


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
    request : ImageRequest or None
        None for an unassigned row, which can only be fetched.
    """

    def __init__(self, engine: Engine, run: RunSide, request: ImageRequest | None) -> None:
        self.engine = engine
        self.run = run
        self.request = request

    async def drive(self, record: Record) -> Record | None:
        """Bring a row as far as it goes.

        Returns
        -------
        Record or None
            The row in its last state (an open one whose reason has been told), or None where the run was stopped
            before anything was sent.
        """
        while True:
            if record.state == "planned":
                sent = await self._submit(record)
                if sent is None:
                    return None
                record = sent
            elif record.state == "unknown":
                self.run.tell(record.key, "unknown", record, record.error)
                looked = await self._reconcile(record)
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
                record = await self._fetch(record)
            else:
                return record

    async def _move(self, record: Record, state: State, **values: Any) -> Record:
        def work(db: Store) -> Record:
            db.move(record.id, state, **values)
            return db.get(record.id)

        return await self.engine.ledger.run(work)

    # --- submit -----------------------------------------------------------------------------------------

    async def _submit(self, record: Record) -> Record | None:
        """Buy; None where the run was stopped before anything was sent."""
        assert self.request is not None
        not_sent = 0
        limited_since: float | None = None
        while True:
            async with self.engine.gate.turn(self.run.stop) as go:
                if not go or not await self._announce(record):
                    await self.engine.ledger.run(partial(Store.forget_plan, row_id=record.id))
                    return None
                self.run.tell(record.key, "sending", record)
                try:
                    prediction = await self.engine.client.submit(self.request)
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
                    return await self._move(record, "unknown", error=error)
                except QwenError as error:
                    if error.stops_run:
                        self.run.halt(error)
                    return await self._move(record, "rejected", error=error)
                except BaseException:
                    lost = UnknownOutcomeError("The run was cut off while the order was being sent.")
                    self.engine.ledger.do(partial(Store.move, row_id=record.id, state="unknown", error=lost))
                    raise
                else:
                    # Before anything else is looked at: from here on this id is worth money.
                    moved = await self._move(record, "submitted", prediction_id=prediction.id)
                    self.engine.gate.accepted()
                    return moved
            await self.run.stop.sleep(pacing.backoff(not_sent))

    async def _announce(self, record: Record) -> bool:
        """Write `sending`, durably; False where the run was stopped or the day's budget forbids it."""
        if self.run.must_stop():
            return False
        try:
            await self.engine.ledger.run(
                partial(Store.send, row_id=record.id, midnight=self.engine.clock.midnight())
            )
        except BudgetError as error:
            self.run.halt(error)
            return False
        # The last look before the money: a stop that came while the row was written still counts.
        if self.run.must_stop():
            await self._move(record, "planned", note="stopped")
            return False
        return True

    # --- reconcile ----------------------------------------------------------------------------------------

    async def _reconcile(self, record: Record) -> Record:
        """Look for a lost answer in the account's history; the row goes on, is proven absent, or stays unknown."""
        engine = self.engine
        sent_at = record.sent_at or record.created_at
        if engine.free:
            # The embedded service costs nothing: what was lost is asked for anew.
            return await self._move(record, "planned", note=_ABSENT)
        if engine.clock.wall() - sent_at > reconcile.KEPT:
            gone = ExpiredError("Its answer was lost, and the service has deleted it by now.", paid="unknown")
            return await self._move(record, "expired", error=gone)
        trouble: QwenError | None = None
        finding: reconcile.Finding | None = None
        looks = [sent_at + after * engine.time_scale for after in reconcile.SETTLE]
        # Looks whose time has passed are one: the history has settled since.
        due = [0.0] * any(at <= engine.clock.wall() for at in looks) + [
            at for at in looks if at > engine.clock.wall()
        ]
        for at in due:
            await asyncio.sleep(max(0.0, at - engine.clock.wall()))
            try:
                finding = await self._look(record, sent_at)
            except QwenError as error:
                trouble = error
                if isinstance(error, KeyRefusedError):
                    break
                continue
            if finding.verdict == "found" and finding.prediction is not None:
                return await self._move(
                    record, "submitted", prediction_id=finding.prediction.id, note="found in the history"
                )
        if trouble is None and finding is not None and finding.verdict == "absent":
            return await self._proven_absent(record)
        return await self._leave_unknown(record, finding, trouble)

    async def _look(self, record: Record, sent_at: float) -> reconcile.Finding:
        engine = self.engine
        assert self.request is not None
        while True:
            skew = engine.client.clock_skew
            history = await engine.client.history(
                model=self.request.model,
                since=sent_at + skew - reconcile.BEFORE,
                until=sent_at + skew + reconcile.AFTER,
            )
            # The answer's own date may show that the wrong minutes were asked for.
            if abs(engine.client.clock_skew - skew) < reconcile.BEFORE / 2:
                break

        def known(db: Store) -> tuple[set[str], list[Record]]:
            others = [
                other
                for other in db.unfinished(engine.provider)
                if other.state in ("unknown", "sending")
                and other.id != record.id
                and other.model == record.model
                and abs((other.sent_at or other.created_at) - sent_at) < reconcile.AFTER
            ]
            return db.prediction_ids(engine.provider, sent_at - reconcile.KEPT), others

        ids, others = await engine.ledger.run(known)
        return reconcile.find(record, history, ids, others)

    async def _proven_absent(self, record: Record) -> Record:
        """Send it once more, and only once: the history answered every time and it is not there."""
        before = await self.engine.ledger.run(partial(Store.count_events, row_id=record.id, note=_ABSENT))
        if before == 0 and not self.run.must_stop():
            return await self._move(record, "planned", note=_ABSENT)
        lost = NotSentError(
            "The order was lost on the way; the account's history shows that nothing was made."
        )
        return await self._move(record, "rejected", error=lost, note=_ABSENT)

    async def _leave_unknown(
        self, record: Record, finding: reconcile.Finding | None, trouble: QwenError | None
    ) -> Record:
        strays = finding.strays if finding is not None else ()
        if strays:
            why = f"{len(strays)} pictures of the account's history could be it"
        else:
            why = f"and the account's history can't be read: {trouble.message if trouble else 'no answer'}"
        lost = record.error.message.rstrip(".") if record.error is not None else "The answer was lost"
        error = UnknownOutcomeError(
            f"{lost}; {why}",
            next_step="Run the cell again to look once more, or grid.retry() to buy it again.",
        )

        def work(db: Store) -> Record:
            for stray in strays:
                db.adopt(self.engine.provider, stray.id, record)
            db.move(record.id, "unknown", error=error)
            db.release(record.id)
            return db.get(record.id)

        return await self.engine.ledger.run(work)

    # --- poll ---------------------------------------------------------------------------------------------

    async def _poll(self, record: Record) -> Record | None:
        """Wait for a prediction's end; None where it stays open, and why has been told."""
        assert record.prediction_id is not None
        engine = self.engine
        known = await engine.durations(record.model)
        age = max(0.0, engine.clock.wall() - (record.sent_at or record.created_at))
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
                    await self._leave_open(record, error)
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
                        gone = ExpiredError(
                            "The service no longer knows this prediction.", prediction_id=record.prediction_id
                        )
                        return await self._move(record, "expired", error=gone)
                if engine.clock.monotonic() > until:
                    break
        finally:
            engine.polling -= 1
        why = f" ({trouble.message})" if trouble is not None else ""
        await self._leave_open(record, StillRunningError(f"It is still running on the server{why}."))
        return None

    async def _leave_open(self, record: Record, error: QwenError) -> None:
        """Give the claim up and tell why; whoever asks next goes on from here."""
        await self.engine.ledger.run(partial(Store.release, row_id=record.id))
        error.paid = "yes"
        error.prediction_id = record.prediction_id
        self.run.tell(record.key, record.state, record, error)

    async def _ended(self, record: Record, prediction: Prediction) -> Record | None:
        if prediction.failed:
            return await self._move(record, "failed", error=prediction.failure())
        if not prediction.completed:
            return None
        seconds = max(0.0, self.engine.clock.wall() - (record.sent_at or record.created_at))

        def work(db: Store) -> Record:
            outputs = json.dumps(prediction.outputs)
            flagged = int(prediction.flagged)
            db.move(record.id, "completed", outputs=outputs, flagged=flagged, seconds=seconds)
            db.write_duration(self.engine.provider, record.model, seconds)
            return db.get(record.id)

        return await self.engine.ledger.run(work)

    # --- download -----------------------------------------------------------------------------------------

    async def _fetch(self, record: Record) -> Record:
        """Download, check, store; the row says `stored` last."""
        store = self.engine.store
        part = store.part(f"{record.id}-{record.key[:16]}")
        try:
            async with self.engine.downloading:
                sha256, checked = await self._download(record, part)
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
            await self._leave_open(record, error)
            raise
        await asyncio.to_thread(store.keep, part, sha256, checked.suffix)
        return await self._move(
            record,
            "stored",
            sha256=sha256,
            suffix=checked.suffix,
            got_width=checked.size.width,
            got_height=checked.size.height,
        )

    async def _download(self, record: Record, part: Path) -> tuple[str, pictures.Checked]:
        outputs = record.outputs
        for last in (False, True):
            try:
                async for attempt in stamina.retry_context(
                    on=_worth_another_try,
                    attempts=_DOWNLOAD_TRIES,
                    timeout=600,
                    wait_initial=0.2 * self.engine.time_scale,
                    wait_max=10 * self.engine.time_scale,
                ):
                    with attempt:
                        done = await self.engine.client.download(outputs[0], part)
                return done.sha256, await asyncio.to_thread(pictures.check, part)
            except ExpiredError:
                if last or record.prediction_id is None:
                    raise
            # The address may have been a short-lived one: the result names a new one while it is kept.
            again = await self.engine.client.result(record.prediction_id)
            if again is None or not again.outputs:
                raise ExpiredError("The service no longer has the picture.")
            outputs = again.outputs
        raise AssertionError("unreachable")


def _worth_another_try(error: Exception) -> bool:
    return isinstance(error, UnavailableError)
