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
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.records import OPEN, Record, State
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
_ABSENT = "proven absent"
#: One account's history proves nothing of what was sent to another.
_OTHER_KEY = UnknownOutcomeError(
    "it was sent with another API key, and this key's account does not show it",
    next_step="Run the cell again with the key it was sent with to look there",
)
#: How often the history is asked anew because its Date shows that the wrong minutes were asked for.
_MOST_DATES = 3


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
                fetched = await (self._hear(record) if record.makes_text else self._fetch(record))
                if fetched is None:
                    return record
                record = fetched
            else:
                return record

    async def _move(self, record: Record, state: State, **values: Any) -> Record:
        def work(db: Store) -> Record:
            db.check_claim(record.id, *OPEN)
            db.move(record.id, state, **values)
            return db.get(record.id)

        return await self.engine.ledger.run(work)

    def _ages(self, record: Record) -> tuple[float, float]:
        """Return the least and the most seconds that the submit can be ago.

        By the wall clock, which may have been set since, and by the monotonic one, which may have stood still while
        the machine slept.
        """
        clock = self.engine.clock
        by_wall = clock.wall() - (record.sent_at or record.created_at)
        if self._sent is None:
            # Sent in the future: the clock was set back, and the submit may be any time ago.
            return max(0.0, by_wall), by_wall if by_wall >= -reconcile.BEFORE else reconcile.KEPT
        by_us = clock.monotonic() - self._sent
        return max(0.0, min(by_wall, by_us)), max(by_wall, by_us)

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
                    self.engine.gate.limited(error.retry_after, concurrency=error.limit == "concurrency")
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
        db.accept(record.id, prediction_id)
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
        try:
            await self.engine.ledger.run(
                partial(
                    Store.send,
                    row_id=record.id,
                    midnight=self.engine.clock.midnight(),
                    skew=self.engine.client.clock_skew,
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
        return True

    # --- reconcile ----------------------------------------------------------------------------------------

    async def _reconcile(self, record: Record) -> Record:
        """Look for a lost answer in the account's history; the row goes on, is proven absent, or stays unknown."""
        engine = self.engine
        if engine.free:
            # The embedded service costs nothing: what was lost is asked for anew.
            return await self._proven_absent(record)
        passed, _ = self._ages(record)
        if passed > reconcile.KEPT:
            gone = ExpiredError("Its answer was lost, and the service has deleted it by now.", paid="unknown")
            return await self._move(record, "expired", error=gone)
        trouble: QwenError | None = None
        finding: reconcile.Finding | None = None
        looks = [after * engine.time_scale for after in reconcile.SETTLE]
        # Looks whose time has passed are one: the history has settled since.
        due = [passed] * any(at <= passed for at in looks) + [at for at in looks if at > passed]
        for at in due:
            await asyncio.sleep(max(0.0, at - self._ages(record)[0]))
            try:
                finding, looked = await self._look(record)
            except QwenError as error:
                trouble = error
                if isinstance(error, KeyRefusedError):
                    break
                continue
            if finding.verdict == "found":
                return looked
        if trouble is None and finding is not None and finding.verdict == "absent":
            sent_with = await engine.ledger.run(partial(Store.sent_with, row_id=record.id))
            if sent_with in ("", engine.client.account):
                return await self._proven_absent(record)
            trouble = _OTHER_KEY
        return await self._leave_unknown(record, finding, trouble)

    async def _look(self, record: Record) -> tuple[reconcile.Finding, Record]:
        """Look into the history once; what is found is written down in the very transaction that judges it."""
        engine = self.engine
        assert self.request is not None
        for _ in range(_MOST_DATES):
            skew = engine.client.clock_skew
            least, most = self._ages(record)
            now = engine.clock.wall() + skew
            then = record.server_at if record.server_at is not None else now - least
            history = await engine.client.history(
                model=self.request.model,
                since=min(then, now - most) - reconcile.BEFORE,
                until=max(then, now - least) + reconcile.AFTER,
            )
            # The answer's own date may show that the wrong minutes were asked for.
            if abs(engine.client.clock_skew - skew) < reconcile.BEFORE / 2:
                break
        else:
            raise UnavailableError("The service's dates contradict each other.")
        sent_at = record.sent_at or record.created_at
        near = reconcile.BEFORE + reconcile.AFTER + most - least

        def judge(db: Store) -> tuple[reconcile.Finding, Record]:
            db.check_claim(record.id, "unknown")
            others = [
                other
                for other in db.lost(engine.provider, record.model)
                if other.id != record.id and abs((other.sent_at or other.created_at) - sent_at) < near
            ]
            ids = db.prediction_ids(engine.provider, sent_at - reconcile.KEPT)
            finding = reconcile.find(record, history, ids, others)
            if finding.prediction is not None:
                db.accept(record.id, finding.prediction.id, note="found in the history")
            return finding, db.get(record.id)

        return await engine.ledger.run(judge)

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
        elif trouble is _OTHER_KEY:
            why = trouble.message
        else:
            why = f"and the account's history can't be read: {trouble.message if trouble else 'no answer'}"
        lost = record.error.message.rstrip(".") if record.error is not None else "The answer was lost"
        error = UnknownOutcomeError(
            f"{lost}; {why}",
            next_step=(trouble.next_step if trouble is _OTHER_KEY else "Run the cell again to look once more")
            + ", or grid.retry() to buy it again.",
        )

        def work(db: Store) -> Record:
            db.check_claim(record.id, "unknown")
            for stray in strays:
                db.adopt(self.engine.provider, stray.id, record, account=self.engine.client.account)
            db.move(record.id, "unknown", error=error)
            return db.get(record.id)

        return await self.engine.ledger.run(work)

    # --- poll ---------------------------------------------------------------------------------------------

    async def _poll(self, record: Record) -> Record | None:
        """Wait for a prediction's end; None where it stays open, and why has been told."""
        assert record.prediction_id is not None
        engine = self.engine
        known = await engine.durations(record.model)
        age, _ = self._ages(record)
        began = engine.clock.monotonic() - (age if age < _FRESH else 0.0)
        until = engine.clock.monotonic() + pacing.deadline(known, scale=engine.time_scale)
        since = engine.clock.monotonic() - age
        trouble: QwenError | None = None
        with engine.polled():
            for delay in await engine.delays(record.model, lambda: engine.clock.monotonic() - since):
                prediction: Prediction | None = None
                try:
                    prediction = await engine.watch.look(record.prediction_id, delay)
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
        # After so long it is deleted there, too.
        if sent_with in ("", self.engine.client.account) or self._ages(record)[0] > reconcile.KEPT:
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
        if took is not None:
            self.engine.learn_duration(record.model, took)

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
