"""The engine: runs a sweep. Ledger → submit → poll → download → store; yields CellUpdate events.

The order of the steps is the guarantee: a row says `sending` before a byte of the submit leaves, the
prediction's id is written before anything else is looked at, and a picture is `stored` only after its file is
whole, checked, fsynced and named.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal

import stamina

from qwen_widgets.core import pacing, pictures
from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.errors import (
    ExpiredError,
    KeyRefusedError,
    LedgerError,
    NotSentError,
    PictureError,
    QwenError,
    RateLimitedError,
    StillRunningError,
    StoppedError,
    UnavailableError,
    UnknownOutcomeError,
    clean,
)
from qwen_widgets.core.ledger import LEASE, Ledger, Record, State, Store
from qwen_widgets.core.pacing import PollDelays, Stop, SubmitGate
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.core.wavespeed import WaveSpeed

#: What a run will do about one request. `here`: stored already. `fetch`: paid for, not here yet. `keep`: failed
#: in a way that asking again can't mend, or unknown. `buy`: everything else.
Action = Literal["here", "fetch", "keep", "buy"]
#: `planned` until it is sent; then the ledger's states; `stopped` where it was never bought.
CellState = Literal[
    "planned", "sending", "submitted", "completed", "stored", "unknown",
    "rejected", "failed", "expired", "invalid_output", "stopped",
]  # fmt: skip

#: A fresh prediction may be unknown to the service for so long; seconds.
_FRESH = 30.0
_MOST_NOT_SENT = 5
_UNDER_WAY = ("planned", "sending", "submitted", "completed")
_LONGEST_LIMITED = 900.0
_DOWNLOAD_TRIES = 8


@dataclass(frozen=True, slots=True)
class CellUpdate:
    """What became of one request, once."""

    key: str
    state: CellState
    record: Record | None = None
    error: QwenError | None = None
    #: JPEG of a stored picture.
    thumbnail: bytes | None = field(default=None, repr=False)
    #: Whether it was here before the run and cost nothing in it.
    cached: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run of a sweep will do, known before anything is bought.

    Attributes
    ----------
    cost : Decimal
        US dollars of what is to be bought.
    seconds : float
        Estimate of the run's time.
    """

    run_id: str
    requests: Mapping[str, ImageRequest]
    actions: Mapping[str, Action]
    records: Mapping[str, Record]
    prices: Mapping[str, Decimal]
    seconds: float
    #: Rows whose outcome stays open but which the user has asked to buy again.
    closing: tuple[int, ...] = ()

    def count(self, *actions: Action) -> int:
        """Return how many requests have one of these actions."""
        return sum(action in actions for action in self.actions.values())

    @property
    def cost(self) -> Decimal:
        """US dollars of what is to be bought."""
        return sum((self.prices[key] for key, action in self.actions.items() if action == "buy"), Decimal(0))


class Engine:
    """Runs sweeps at one provider.

    Parameters
    ----------
    provider : str
        The name under which the ledger keeps what is bought here: the API's origin, or ``offline``.
    at_once : int
        Predictions under way together.
    free : bool
        Whether pictures cost nothing here (the embedded service), so that a lost one may be asked for anew.
    usual : float
        Seconds that a prediction takes here, until the ledger knows better.
    """

    def __init__(
        self,
        client: WaveSpeed,
        ledger: Ledger,
        store: PictureStore,
        *,
        provider: str,
        at_once: int = 8,
        free: bool = False,
        usual: float = pacing.USUAL_DURATION,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.store = store
        self.provider = provider
        self.at_once = at_once
        self.free = free
        self.usual = usual
        self.gate = SubmitGate()
        #: Predictions that are being polled now, of all runs.
        self.polling = 0

    async def plan(self, sweep: Sweep, *, fresh: bool = False, retry: bool = False) -> Plan:
        """Look up what is here and say what a run would do.

        Parameters
        ----------
        fresh : bool
            Buy stored pictures anew. What is paid for and not here yet is fetched all the same.
        retry : bool
            Buy again what failed for good or is unknown.
        """
        requests = {request.key: request for request in sweep.unique}
        records = await self.ledger.run(lambda db: db.latest(self.provider, requests))
        actions: dict[str, Action] = {}
        closing: list[int] = []
        for key in requests:
            record = records.get(key)
            actions[key] = self._action(record, fresh=fresh, retry=retry)
            if retry and record is not None and record.state == "unknown":
                closing.append(record.id)
        prices = {key: Decimal(0) if self.free else request.model.price for key, request in requests.items()}
        new = sum(action == "buy" for action in actions.values())
        model = sweep.models[0] if sweep.models else None
        known = await self.durations(model.id) if model else []
        return Plan(
            run_id=uuid.uuid4().hex[:12],
            requests=requests,
            actions=actions,
            records=records,
            prices=prices,
            seconds=pacing.estimate(
                new, at_once=self.at_once, known=known, window=self.gate.window, usual=self.usual
            ),
            closing=tuple(closing),
        )

    def _action(self, record: Record | None, *, fresh: bool, retry: bool) -> Action:
        if record is None:
            return "buy"
        if record.state == "stored":
            if fresh:
                return "buy"
            assert record.sha256 is not None
            assert record.suffix is not None
            return "here" if self.store.intact(record.sha256, record.suffix) else "fetch"
        if record.state == "planned":
            return "buy"
        if record.state in ("sending", "submitted", "completed"):
            return "fetch"
        if retry or (record.error is not None and record.error.may_retry):
            return "buy"
        return "keep"

    async def durations(self, model_id: str) -> list[float]:
        """Return the last durations of a model at this provider, seconds."""
        return await self.ledger.run(lambda db: db.durations(self.provider, model_id))

    async def run(self, plan: Plan, stop: Stop) -> AsyncIterator[CellUpdate]:
        """Do what the plan says; every request ends with a final update or a named resumable state.

        When `stop` is set nothing more is bought, and what is paid for still arrives.
        """
        run = _Run(self, plan, stop)
        async for update in run.updates():
            yield update


class _Run:
    """One run: its tasks, its claims, and what has halted it."""

    def __init__(self, engine: Engine, plan: Plan, stop: Stop) -> None:
        self.engine = engine
        self.plan = plan
        self.stop = stop
        self.ledger = engine.ledger
        self.halted: QwenError | None = None
        self._slots = asyncio.Semaphore(engine.at_once)
        self._queue: asyncio.Queue[CellUpdate | None] = asyncio.Queue()
        self._held: set[int] = set()

    async def updates(self) -> AsyncIterator[CellUpdate]:
        for row_id in self.plan.closing:
            note = "the user asked to buy it again"
            await self.ledger.run(partial(Store.move, row_id=row_id, state="expired", note=note))
        work = asyncio.create_task(self._work())
        try:
            while (update := await self._queue.get()) is not None:
                yield update
        finally:
            # A consumer that goes away buys nothing more; what is under way is finished and stored.
            if not work.done():
                self.stop.set()
        await work

    async def _work(self) -> None:
        renewing = asyncio.create_task(self._renew())
        try:
            async with asyncio.TaskGroup() as group:
                for key in self.plan.requests:
                    group.create_task(self._one(key))
        finally:
            renewing.cancel()
            await self._queue.put(None)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            if self._held:
                with contextlib.suppress(LedgerError):
                    await self.ledger.run(partial(Store.renew, row_ids=tuple(self._held)))

    def _tell(
        self,
        key: str,
        state: CellState,
        record: Record | None = None,
        error: QwenError | None = None,
        thumbnail: bytes | None = None,
        *,
        cached: bool = False,
    ) -> None:
        self._queue.put_nowait(CellUpdate(key, state, record, error, thumbnail, cached))

    async def _one(self, key: str) -> None:
        """See one request through; every error becomes its last update."""
        action = self.plan.actions[key]
        known = self.plan.records.get(key)
        try:
            if action == "keep":
                assert known is not None
                self._tell(key, known.state, known, known.error)
            elif action == "here":
                assert known is not None
                self._tell(key, "stored", known, None, await self._thumbnail(known), cached=True)
            else:
                async with self._slots:
                    await self._obtain(key)
        except QwenError as error:
            self._tell(key, "failed", None, error)
        except Exception as error:  # noqa: BLE001  (a fault of this package must not take the other cells along)
            fault = QwenError(
                f"A fault in qwen_widgets: {type(error).__name__}: {clean(error)}", paid="unknown"
            )
            self._tell(key, "failed", None, fault)

    async def _obtain(self, key: str) -> None:
        request = self.plan.requests[key]
        known = self.plan.records.get(key)
        if self.plan.actions[key] == "fetch" and known is not None and known.state == "stored":
            # Stored once, and the file is gone: it may still be had again for nothing.
            await self.ledger.run(lambda db: db.reopen(known.id, "completed", note="the file is missing"))
        after = known.id if known is not None else 0
        for _ in range(3):
            if self._must_stop() and self.plan.actions[key] == "buy":
                self._tell_stopped(key)
                return
            record, mine = await self._claim(request, after)
            if not mine:
                if await self._follow(key, record):
                    return
                continue
            after = record.id
            self._held.add(record.id)
            try:
                if not await self._complete(key, request, record):
                    continue
            finally:
                self._held.discard(record.id)
            return
        raise UnavailableError("The service does not keep what it was asked for.")

    async def _claim(self, request: ImageRequest, after: int) -> tuple[Record, bool]:
        price = self.plan.prices[request.key]
        return await self.ledger.run(
            lambda db: db.claim(self.engine.provider, request, self.plan.run_id, price, after=after)
        )

    async def _follow(self, key: str, record: Record) -> bool:
        """Watch a purchase that another run or kernel is making; False where it was given up."""
        told: str | None = None
        while True:
            if record.state != told:
                told = record.state
                if record.state == "stored":
                    self._tell(key, "stored", record, None, await self._thumbnail(record), cached=True)
                    return True
                self._tell(key, record.state, record, record.error)
            if record.state not in _UNDER_WAY:
                return True
            if record.owner is None or record.lease_until < time.time():
                return False
            if record.state == "planned" and self._must_stop():
                self._tell_stopped(key)
                return True
            await asyncio.sleep(0.25)
            found = await self.ledger.run(lambda db: db.latest(self.engine.provider, [key]))
            if key not in found or found[key].id < record.id:
                return False
            record = found[key]

    async def _complete(self, key: str, request: ImageRequest, record: Record) -> bool:
        """Bring a claimed row to its end; False where a free picture has to be asked for anew."""
        if record.state == "planned":
            sent = await self._submit(request, record)
            if sent is None:
                self._tell_stopped(key)
                return True
            record = sent
        if record.state == "unknown":
            self._tell(key, "unknown", record, record.error)
            return True
        if record.state == "submitted":
            self._tell(key, "submitted", record)
            try:
                found = await self._poll(record)
            except ExpiredError:
                if not self.engine.free:
                    raise
                return False
            if found is None:
                return True
            record = found
        if record.state == "completed":
            self._tell(key, "completed", record)
            record = await self._fetch(record)
        if record.state == "stored":
            self._tell(key, "stored", record, None, await self._thumbnail(record))
        elif self.engine.free and record.state == "expired":
            return False
        else:
            self._tell(key, record.state, record, record.error)
        return True

    # --- submit ---------------------------------------------------------------------------------------

    async def _submit(self, request: ImageRequest, record: Record) -> Record | None:
        """Buy; None where the run was stopped before anything was sent."""
        not_sent = 0
        limited_since: float | None = None
        while True:
            async with self.engine.gate.turn(self.stop) as go:
                if not go or self.halted is not None:
                    await self.ledger.run(lambda db: db.forget_plan(record.id))
                    return None
                await self.ledger.run(lambda db: db.move(record.id, "sending"))
                # The last look before the money: a stop that came while the row was written still counts.
                if self._must_stop():
                    await self._move(record, "planned")
                    await self.ledger.run(lambda db: db.forget_plan(record.id))
                    return None
                self._tell(request.key, "sending", record)
                try:
                    prediction = await self.engine.client.submit(request)
                except NotSentError as error:
                    not_sent += 1
                    if not_sent >= _MOST_NOT_SENT:
                        return await self._move(record, "rejected", error=error)
                    await self._move(record, "planned", note=error.message)
                except RateLimitedError as error:
                    limited_since = limited_since or time.monotonic()
                    if time.monotonic() - limited_since > _LONGEST_LIMITED:
                        return await self._move(record, "rejected", error=error)
                    self.engine.gate.limited(
                        error.retry_after, concurrency="concurren" in error.message.lower()
                    )
                    await self._move(record, "planned", note=error.message)
                    self._tell(request.key, "planned", record, error)
                    continue
                except UnknownOutcomeError as error:
                    return await self._move(record, "unknown", error=error)
                except QwenError as error:
                    if error.stops_run:
                        self.halted = error
                        self.stop.set()
                    return await self._move(record, "rejected", error=error)
                except BaseException:
                    lost = UnknownOutcomeError("The run was cut off while the order was being sent.")
                    self.ledger.do(partial(Store.move, row_id=record.id, state="unknown", error=lost))
                    raise
                else:
                    # Before anything else is looked at: from here on this id is worth money.
                    moved = await self._move(record, "submitted", prediction_id=prediction.id)
                    self.engine.gate.accepted()
                    return moved
            await self.stop.sleep(pacing.backoff(not_sent))

    def _must_stop(self) -> bool:
        return self.stop.is_set() or self.halted is not None

    def _tell_stopped(self, key: str) -> None:
        if self.halted is not None:
            error: QwenError = StoppedError(
                f"Not bought: {self.halted.message}", next_step=self.halted.next_step
            )
        else:
            error = StoppedError("Stopped before it was bought.")
        self._tell(key, "stopped", None, error)

    async def _move(self, record: Record, state: State, **values: Any) -> Record:
        def work(db: Store) -> Record:
            db.move(record.id, state, **values)
            return db.get(record.id)

        return await self.ledger.run(work)

    # --- poll -----------------------------------------------------------------------------------------

    async def _poll(self, record: Record) -> Record | None:
        """Wait for a prediction's end; None where its failure or its lateness has been told."""
        assert record.prediction_id is not None
        known = await self.engine.durations(record.model)
        age = max(0.0, time.time() - (record.sent_at or record.created_at))
        began = time.monotonic() - (age if age < _FRESH else 0.0)
        until = time.monotonic() + pacing.deadline(known)
        trouble: QwenError | None = None
        delays = PollDelays(known, lambda: self.engine.polling, age=age, usual=self.engine.usual)
        self.engine.polling += 1
        try:
            for delay in delays:
                await asyncio.sleep(delay)
                try:
                    prediction = await self.engine.client.result(record.prediction_id)
                except KeyRefusedError as error:
                    await self._leave_open(record, error)
                    return None
                except QwenError as error:
                    trouble = error
                    prediction = None
                else:
                    if prediction is None and time.monotonic() - began > _FRESH:
                        gone = ExpiredError(
                            "The service no longer knows this prediction.", prediction_id=record.prediction_id
                        )
                        await self._move(record, "expired", error=gone)
                        raise gone
                if prediction is not None and (ended := await self._ended(record, prediction)) is not None:
                    return ended
                if prediction is None and trouble is None and self.engine.free:
                    # The embedded service lives as long as its kernel: what it doesn't know, it never will.
                    gone = ExpiredError("The embedded service was started anew.")
                    await self._move(record, "expired", error=gone)
                    raise gone
                if time.monotonic() > until:
                    break
        finally:
            self.engine.polling -= 1
        why = f" ({trouble.message})" if trouble is not None else ""
        late = StillRunningError(
            f"It is still running on the server{why}", prediction_id=record.prediction_id
        )
        await self._leave_open(record, late)
        return None

    async def _leave_open(self, record: Record, error: QwenError) -> None:
        """Give the claim up and tell why; whoever asks next goes on from here."""
        await self.ledger.run(lambda db: db.release(record.id))
        error.paid = "yes"
        error.prediction_id = record.prediction_id
        self._tell(record.key, "submitted", record, error)

    async def _ended(self, record: Record, prediction: Prediction) -> Record | None:
        if prediction.completed:
            seconds = max(0.0, time.time() - (record.sent_at or record.created_at))

            def work(db: Store) -> Record:
                outputs = json.dumps(prediction.outputs)
                flagged = int(prediction.flagged)
                db.move(record.id, "completed", outputs=outputs, flagged=flagged, seconds=seconds)
                db.write_duration(self.engine.provider, record.model, seconds)
                return db.get(record.id)

            return await self.ledger.run(work)
        if prediction.failed:
            return await self._move(record, "failed", error=prediction.failure())
        return None

    # --- download -------------------------------------------------------------------------------------

    async def _fetch(self, record: Record) -> Record:
        """Download, check, store; the row says `stored` last."""
        part = self.engine.store.part(f"{record.id}-{record.key[:16]}")
        try:
            sha256, checked = await self._download(record, part)
        except ExpiredError as error:
            error.prediction_id = record.prediction_id
            return await self._move(record, "expired", error=error)
        except PictureError as error:
            error.prediction_id = record.prediction_id
            if part.exists():
                await asyncio.to_thread(self.engine.store.set_aside, part)
            return await self._move(record, "invalid_output", error=error)
        except QwenError as error:
            # Paid for and at the server: it stays open, and the next run fetches it.
            await self.ledger.run(lambda db: db.release(record.id))
            error.paid = "yes"
            error.prediction_id = record.prediction_id
            raise
        await asyncio.to_thread(self.engine.store.keep, part, sha256, checked.suffix)
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
        for fresh in (False, True):
            try:
                async for attempt in stamina.retry_context(
                    on=UnavailableError, attempts=_DOWNLOAD_TRIES, timeout=600, wait_initial=0.2, wait_max=10
                ):
                    with attempt:
                        done = await self.engine.client.download(outputs[0], part)
                return done.sha256, await asyncio.to_thread(pictures.check, part)
            except ExpiredError:
                if fresh or record.prediction_id is None:
                    raise
                # The address may have been a short-lived one: the result names a new one while it is kept.
                again = await self.engine.client.result(record.prediction_id)
                if again is None or not again.outputs:
                    raise
                outputs = again.outputs
        raise AssertionError("unreachable")

    async def _thumbnail(self, record: Record) -> bytes | None:
        if record.sha256 is None or record.suffix is None:
            return None
        try:
            return await asyncio.to_thread(self.engine.store.thumbnail, record.sha256, record.suffix)
        except (OSError, ValueError):
            return None
