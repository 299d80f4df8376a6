"""The engine: plans and runs a sweep at one provider; yields CellUpdate events. A purchase's steps are next door."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Literal

from qwen_widgets.core import pacing
from qwen_widgets.core.enhancer import makes_text
from qwen_widgets.core.errors import (
    BudgetError,
    DamagedError,
    LedgerError,
    QwenError,
    StoppedError,
    UnavailableError,
    clean,
)
from qwen_widgets.core.gaps import close_gaps
from qwen_widgets.core.inputs import Inputs
from qwen_widgets.core.ledger import DURATIONS, ClaimLostError, Ledger, Store
from qwen_widgets.core.models import find_model
from qwen_widgets.core.owner import LEASE
from qwen_widgets.core.pacing import SYSTEM_CLOCK, Clock, PollDelays, Rhythm, Stop, SubmitGate
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.purchase import Purchase
from qwen_widgets.core.records import Record
from qwen_widgets.core.request import ImageRequest, Order
from qwen_widgets.core.sendings import Sendings
from qwen_widgets.core.states import OPEN, Heard
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.core.uploads import Uploads
from qwen_widgets.core.watching import Watch
from qwen_widgets.core.wavespeed import WaveSpeed

#: What a run will do about one request. `here`: stored already. `fetch`: paid for, not here yet, or its answer
#: lost and to be looked for. `keep`: failed in a way that asking again can't mend. `buy`: everything else.
Action = Literal["here", "fetch", "keep", "buy"]
#: `planned` until it is sent; then the ledger's states; `stopped` where it was never bought.
CellState = Literal[
    "planned", "sending", "submitted", "completed", "stored", "unknown",
    "rejected", "failed", "expired", "stopped",
]  # fmt: skip

_UNDER_WAY = ("planned", "sending", "submitted", "completed")
#: Pictures that are downloaded together.
_DOWNLOADS = 6
#: Seconds for which a picture that can be fetched waits for orders that can be sent, at most.
_GIVE_WAY = 1.0
#: Seconds by which the wall clock may leave the monotonic one before the machine counts as having slept.
_SLEPT = 5.0
#: How far the API's price may be from the built-in one before a run stops; a part of it.
_PRICE_MARGIN = Decimal("0.10")
#: Seconds that a price is waited for, and how many are asked for together.
_PRICE_WAIT, _PRICES = 15.0, 6
#: Pictures a minute, of any account; a kept window that is larger is damage.
_WIDEST_WINDOW = 100_000
#: How the reason of a cell begins whose order was held back.
NOT_BOUGHT = "Not bought: "


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
    requests: Mapping[str, Order]
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


def _priced_by(order: Order) -> Hashable:
    """Return what decides an order's price; a built-in model has one price, whatever is asked of it."""
    model, images = order.model, len(order.images)
    if not model.schema or not isinstance(order, ImageRequest):
        return model.id, images
    size = order.size if model.takes_size else None
    # As text: True and 1 are equal, and need not cost the same.
    return model.id, images, size, order.output_format, repr(order.extra)


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
    time_scale : float
        What the documented times (settling, deadlines, rate windows) are multiplied with; for tests.
    clock : Clock
        Where the time comes from.
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
        time_scale: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.store = store
        self.provider = provider
        self.at_once = at_once
        self.free = free
        self.usual = usual
        self.time_scale = time_scale
        self.clock = clock
        self._rhythm: Rhythm | None = None
        self.watch = Watch(client, clock, lambda: self.rhythm)
        self.gate = SubmitGate(clock.monotonic, scale=time_scale, open_predictions=lambda: self.polling)
        self.downloading = asyncio.Semaphore(_DOWNLOADS)
        self._asking = asyncio.Semaphore(_PRICES)
        self.inputs = Inputs(ledger, store, loopback=client.loopback)
        self.uploads = Uploads(
            client, ledger, store, provider=provider, lasting=not free, clock=clock, time_scale=time_scale
        )
        self.sendings = Sendings(ledger, clock.monotonic, client.now)
        client.on_date = self.sendings.date
        #: Wall clock less monotonic clock when it was last looked at.
        self._ahead = clock.wall() - clock.monotonic()
        #: The runs under way; the loop itself holds its tasks only weakly.
        self.running: set[asyncio.Task[None]] = set()
        #: When this engine was made, by the monotonic clock.
        self.began = clock.monotonic()
        self._window_read = False
        self._durations: dict[str, list[float]] = {}
        #: Requests that wait for a slot, of all runs.
        self.waiting = 0
        #: Requests that have a slot and aren't sent yet, and whether there are none.
        self._starting: set[str] = set()
        self._started = asyncio.Event()
        self._started.set()

    @property
    def rhythm(self) -> Rhythm:
        """The bounds of polling: those of a service whose predictions take what is usual here, or what was set."""
        return self._rhythm or pacing.DEFAULT_RHYTHM.scaled(min(1.0, self.usual / pacing.USUAL_DURATION))

    @rhythm.setter
    def rhythm(self, rhythm: Rhythm) -> None:
        self._rhythm = rhythm

    @property
    def polling(self) -> int:
        """How many predictions are under way, of all runs."""
        return self.watch.open

    @contextlib.contextmanager
    def polled(self) -> Iterator[None]:
        """Count a prediction as under way; its end makes room at the gate."""
        self.watch.open += 1
        try:
            yield
        finally:
            self.watch.open -= 1
            self.gate.look()

    def delays(self, known: Sequence[float], age: Callable[[], float]) -> PollDelays:
        """Return the delays between the polls of a prediction.

        Parameters
        ----------
        known : sequence of float
            The durations of its model, as `known_durations` gives them, seconds.
        age : callable
            Seconds since its submit.
        """
        return PollDelays(known, lambda: self.watch.apart, age=age, rhythm=self.rhythm, worth=self._worth)

    async def known_durations(self, model_id: str) -> Sequence[float]:
        """Return the last durations of a model, seconds; those that are learned meanwhile are added to them."""
        return self._durations.get(model_id) or await self.durations(model_id)

    def learn_duration(self, model_id: str, seconds: float) -> None:
        """Let a duration count at once, for the polls of those that are under way beside it."""
        known = self._durations.setdefault(model_id, [])
        known.insert(0, seconds)
        del known[DURATIONS:]
        if len(known) == 1:
            # Those that were to be looked at in the dark have a time now.
            self.watch.wake()

    def starts(self, key: str) -> None:
        """Note that a request has a slot."""
        self._starting.add(key)
        self._started.clear()

    def started(self, key: str) -> None:
        """Note that a request is sent, or won't be."""
        self._starting.discard(key)
        if not self._starting:
            self._started.set()

    async def give_way(self) -> None:
        """Let those be sent first that can be: the service works on them meanwhile."""
        if not self.gate.queued:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GIVE_WAY * min(1.0, self.usual / pacing.USUAL_DURATION)):
                    await self._started.wait()

    def _worth(self) -> float:
        """Return how many pictures wait for one poll's news: while slots hold them back, those that follow in its slot."""
        return 1.0 if self.gate.queued else 1.0 + self.waiting / self.at_once

    async def plan(self, sweep: Sweep, *, fresh: bool = False, retry: bool = False) -> Plan:
        """Look up what is here and say what a run would do.

        Parameters
        ----------
        fresh : bool
            Buy stored pictures anew. What is paid for and not here yet is fetched all the same.
        retry : bool
            Buy again what failed for good or is unknown.
        """
        return await self.plan_orders(sweep.unique, fresh=fresh, retry=retry)

    async def plan_orders(
        self,
        orders: Sequence[Order],
        *,
        fresh: bool = False,
        retry: bool = False,
        pending: Sequence[Order] = (),
    ) -> Plan:
        """Look up what is here of some orders, and say what a run of them would do.

        Parameters
        ----------
        pending : sequence of Order
            Further purchases whose words aren't known yet; they count as bought, each like the one that is given.
        """
        requests = {order.key: order for order in orders}
        records = await self.ledger.run(lambda db: db.latest(self.provider, requests))
        await asyncio.to_thread(self._look_at_files, records.values())
        await self._read_window()
        actions: dict[str, Action] = {}
        closing: list[int] = []
        for key in requests:
            record = records.get(key)
            actions[key] = self._action(record, fresh=fresh, retry=retry)
            if retry and record is not None and _can_close(record):
                closing.append(record.id)
        for order in pending:
            key = f"pending {len(requests)}"
            requests[key], actions[key] = order, "buy"
        prices = {key: Decimal(0) if self.free else request.model.price for key, request in requests.items()}
        new = sum(action == "buy" for action in actions.values())
        first = next(iter(requests.values()), None)
        known = await self.durations(first.model.id) if first is not None else []
        return Plan(
            run_id=uuid.uuid4().hex[:12],
            requests=requests,
            actions=actions,
            records=records,
            prices=prices,
            seconds=pacing.estimate(
                new,
                at_once=self.at_once,
                known=known,
                window=self.gate.window,
                span=self.gate.span,
                usual=self.usual,
            ),
            closing=tuple(closing),
        )

    def _look_at_files(self, records: Iterable[Record]) -> None:
        """Have the store know which pictures are intact: reading a file whose time is another takes a while."""
        for record in records:
            if record.state == "stored" and record.sha256 is not None and record.suffix is not None:
                self.store.intact(record.sha256, record.suffix)

    def _action(self, record: Record | None, *, fresh: bool, retry: bool) -> Action:
        if record is None:
            return "buy"
        if not record.usable:
            return "buy" if retry else "keep"
        if record.state == "stored":
            if fresh:
                return "buy"
            if record.makes_text:
                return "here"
            assert record.sha256 is not None
            assert record.suffix is not None
            return "here" if self.store.intact(record.sha256, record.suffix) else "fetch"
        if record.state == "planned":
            return "buy"
        if record.state in OPEN and (record.state != "unknown" or not retry):
            return "fetch"
        # What may have been charged is bought a second time on demand only.
        again = record.error is not None and record.error.may_retry and record.error.paid == "no"
        return "buy" if retry or again else "keep"

    async def fetch_strays(self, stop: Stop) -> None:
        """Fetch the pictures that the account's history holds and that belong to no request."""
        waiting = await self.ledger.run(lambda db: db.unfinished(self.provider))
        await self.fetch_rows([record.id for record in waiting if record.unassigned], stop)

    async def fetch_rows(self, row_ids: Sequence[int], stop: Stop) -> list[Record]:
        """Fetch what some submitted rows stand for, and buy nothing; the rows as they are then."""
        slots = asyncio.Semaphore(self.at_once)

        async def fetch(row_id: int) -> Record:
            async with slots:
                if await self.ledger.run(partial(Store.take, row_id=row_id)):
                    try:
                        record = await self.ledger.run(partial(Store.get, row_id=row_id))
                        with contextlib.suppress(QwenError, ClaimLostError):
                            await Purchase(self, _Aside(stop), None).drive(record)
                    finally:
                        await self.ledger.run(partial(Store.release, row_id=row_id))
                return await self.ledger.run(partial(Store.get, row_id=row_id))

        try:
            return await asyncio.gather(*map(fetch, row_ids))
        finally:
            self.ledger.copy()

    async def ask_prices(self, plan: Plan, *, accepted: bool, bought: str = "nothing was bought") -> Plan:
        """Take up the API's prices of what is to be bought; the built-in ones stay where it doesn't answer.

        What a lost ledger has bought by the account's history isn't bought again.

        Parameters
        ----------
        accepted : bool
            Whether the user has named a limit for this very run, which then decides alone.
        bought : str
            What the run has bought by now.

        Raises
        ------
        BudgetError
            A price is more than 10 % away from the built-in one.
        InputError
            A model is no longer known.
        UnprovenError
            A ledger was lost, and it isn't known what it had bought last.
        """
        plan = await close_gaps(self, plan)
        for key, action in plan.actions.items():
            if action == "buy" and not makes_text(plan.requests[key].model.id):
                # What the ledger alone remembers has no price here: it can be shown and not be bought.
                find_model(plan.requests[key].model.id)
        if self.free:
            return plan
        buys = {key: plan.requests[key] for key, action in plan.actions.items() if action == "buy"}
        # Asked anew for each plan, which is free: a price kept from the last run could be another by now.
        kinds = {_priced_by(request): request for request in buys.values()}
        asked = await asyncio.gather(*map(self._price, kinds.values()))
        said = dict(zip(kinds, asked, strict=True))
        prices = dict(plan.prices) | {key: said[_priced_by(request)] for key, request in buys.items()}
        for key, request in buys.items():
            model, price = request.model, prices[key]
            if abs(price - model.price) > model.price * _PRICE_MARGIN and not accepted:
                what = "a text" if makes_text(model.id) else "a picture"
                total = sum((prices[key] for key in buys), Decimal(0))
                enough = total.quantize(Decimal("0.01"), ROUND_CEILING)
                raise BudgetError(
                    f"the API asks ${price.normalize():f} for {what} of {model.name}, and "
                    f"${model.price.normalize():f} was expected; {bought}.",
                    next_step=f"A limit for this run accepts it: --max-cost {enough} (max_cost={enough} in Python).",
                )
        return replace(plan, prices=prices)

    async def _price(self, request: Order) -> Decimal:
        """Return the API's price of a request, the built-in one where there is no answer in time."""
        async with self._asking:
            with contextlib.suppress(QwenError, TimeoutError):
                async with asyncio.timeout(_PRICE_WAIT):
                    return await self.client.price(request)
        return request.model.price

    async def _read_window(self) -> None:
        """Take up the rate window that was learned for this account before."""
        if not self._window_read:
            self._window_read = True
            text = await self.ledger.run(partial(Store.setting, name=f"window {self.provider}"))
            if text is not None:
                self.gate.recall(text)

    async def remember_window(self) -> None:
        """Keep the rate window that the gate has learned."""
        text = self.gate.remembered()
        await self.ledger.run(partial(Store.write_setting, name=f"window {self.provider}", value=text))

    async def notice_sleep(self) -> None:
        """Wake where the wall clock has left the monotonic one since the last look, in whichever run that was."""
        ahead = self.clock.wall() - self.clock.monotonic()
        gap, self._ahead = ahead - self._ahead, ahead
        if abs(gap) > _SLEPT:
            # Asleep or set: until the next Date nobody knows how much time has passed.
            self.client.forget_time()
            self.sendings.slept()
        if gap > _SLEPT:
            await self.wake()

    async def wake(self) -> None:
        """Take it that the machine has slept: connections are dead by now, and every answer is overdue."""
        await self.client.aclose()
        self.watch.wake()

    async def durations(self, model_id: str) -> list[float]:
        """Return the last durations of a model at this provider as the ledger has them, seconds."""
        found = await self.ledger.run(lambda db: db.durations(self.provider, model_id))
        known = self._durations.setdefault(model_id, [])
        known[:] = found
        return known

    async def recall(self, plan: Plan) -> AsyncIterator[CellUpdate]:
        """Say what the ledger knows of a plan's requests, and ask the service for nothing."""
        for key in plan.requests:
            record = plan.records.get(key)
            if record is None:
                yield CellUpdate(key, "stopped", error=StoppedError("It was never bought."))
                continue
            stored = record.state == "stored"
            thumbnail = await self.thumbnail(record) if stored else None
            yield CellUpdate(key, record.state, record, record.error, thumbnail, cached=stored)

    async def thumbnail(self, record: Record) -> bytes | None:
        """Return the JPEG of a stored picture, None where there is none and none can be made."""
        if record.sha256 is None or record.suffix is None:
            return None
        make = partial(self.store.thumbnail, record.sha256, record.suffix, blurred=record.flagged)
        try:
            return await asyncio.to_thread(make)
        except (OSError, ValueError, DamagedError):
            return None

    async def run(self, plan: Plan, stop: Stop) -> AsyncIterator[CellUpdate]:
        """Do what the plan says; every request ends with a final update or a named resumable state.

        When `stop` is set nothing more is bought, and what is paid for still arrives.
        """
        run = _Run(self, plan, stop)
        # Closed here and now: a generator that is only dropped hears of it at some later time.
        async with contextlib.aclosing(run.updates()) as updates:
            async for update in updates:
                yield update


def _can_close(record: Record) -> bool:
    """Whether a row is open and nothing can be done about it but to end it, where the user asks for that."""
    return record.state == "unknown" or (record.state in OPEN and not record.usable)


class _Aside:
    """The run of a purchase that nobody watches."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def must_stop(self) -> bool:
        return True

    def halt(self, error: QwenError) -> None:
        pass

    def made(self, key: str) -> None:
        pass

    def tell(self, key: str, state: CellState, record: Record, error: QwenError | None = None) -> None:
        pass


class _Run:
    """One run: its tasks, its claims, and what has halted it."""

    def __init__(self, engine: Engine, plan: Plan, stop: Stop) -> None:
        self.engine = engine
        self.plan = plan
        self.stop = stop
        self.ledger = engine.ledger
        self.halted: QwenError | None = None
        self._slots = asyncio.Semaphore(engine.at_once)
        #: The requests that hold a slot.
        self._slotted: set[str] = set()
        self._queue: asyncio.Queue[CellUpdate | None] = asyncio.Queue()
        self._held: set[int] = set()
        self._closed: set[int] = set()

    async def updates(self) -> AsyncGenerator[CellUpdate, None]:
        self._closed = await self.ledger.run(self._close)
        work = asyncio.create_task(self._work())
        self.engine.running.add(work)
        work.add_done_callback(self.engine.running.discard)
        try:
            while (update := await self._queue.get()) is not None:
                yield update
        finally:
            # A consumer that goes away buys nothing more; what is under way is finished and stored.
            if not work.done():
                self.stop.set()
        await work

    def _close(self, db: Store) -> set[int]:
        """End the rows that the user buys again, but for those that were found since."""
        still = {row_id for row_id in self.plan.closing if _can_close(db.get(row_id))}
        for row_id in still:
            db.step(row_id, Heard.GIVEN_UP, note="the user asked to buy it again")
        return still

    async def _work(self) -> None:
        renewing = asyncio.create_task(self._renew())
        try:
            await self._close_gaps()
            async with asyncio.TaskGroup() as group:
                for key in self.plan.requests:
                    group.create_task(self._one(key))
        finally:
            renewing.cancel()
            if self.halted is None:
                with contextlib.suppress(LedgerError):
                    await self.ledger.run(Store.forget_restored)
            self.ledger.copy()
            await self._queue.put(None)

    async def _close_gaps(self) -> None:
        """Hold back what a lost ledger may have bought; what is paid for is fetched all the same."""
        try:
            self.plan = await close_gaps(self.engine, self.plan)
        except QwenError as error:
            self.halt(error)

    async def _renew(self) -> None:
        """Hold the claims, and notice when the machine has slept."""
        clock = self.engine.clock
        renewed = clock.monotonic()
        while True:
            await self.engine.notice_sleep()
            await asyncio.sleep(1.0)
            if self._held and clock.monotonic() - renewed > LEASE / 3:
                renewed = clock.monotonic()
                with contextlib.suppress(LedgerError):
                    await self.ledger.run(partial(Store.renew, row_ids=tuple(self._held)))

    def tell(self, key: str, state: CellState, record: Record, error: QwenError | None = None) -> None:
        """Say how far a purchase is."""
        if state not in ("planned", "sending"):
            self.engine.started(key)
        self._tell(key, state, record, error)

    async def _take_slot(self, key: str) -> None:
        """Wait for a slot, and be counted among those that are held back meanwhile."""
        self.engine.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.engine.waiting -= 1
        self._slotted.add(key)
        if self.plan.actions[key] == "buy":
            self.engine.starts(key)

    def made(self, key: str) -> None:
        """Give the slot to the next one: what is left of this one is no work for the service."""
        if key in self._slotted:
            self._slotted.remove(key)
            self._slots.release()

    def must_stop(self) -> bool:
        """Whether nothing more may be bought."""
        return self.stop.is_set() or self.halted is not None

    def halt(self, error: QwenError) -> None:
        """Buy nothing more in this run, for this reason."""
        self.halted = self.halted or error
        self.stop.set()

    def _tell_stopped(self, key: str) -> None:
        if self.halted is not None:
            error: QwenError = StoppedError(
                f"{NOT_BOUGHT}{self.halted.message}", next_step=self.halted.next_step
            )
        else:
            error = StoppedError("Stopped before it was bought.")
        self._tell(key, "stopped", None, error)

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
                self._tell(key, "stored", known, None, await self.engine.thumbnail(known), cached=True)
            else:
                await self._take_slot(key)
                await self._obtain(key)
        except QwenError as error:
            if isinstance(error, LedgerError):
                self.halt(error)
            self._tell(key, "failed", None, error)
        except Exception as error:  # noqa: BLE001  (a fault of this package must not take the other cells along)
            fault = QwenError(
                f"A fault in qwen_widgets: {type(error).__name__}: {clean(error)}", paid="unknown"
            )
            self._tell(key, "failed", None, fault)
        finally:
            self.engine.started(key)
            self.made(key)

    async def _obtain(self, key: str) -> None:
        request = self.plan.requests[key]
        known = self.plan.records.get(key)
        if self.plan.actions[key] == "fetch" and known is not None and known.state == "stored":
            # Stored once, and the file is gone: it may still be had again for nothing.
            await self.ledger.run(
                lambda db: db.reopen(known.id, Heard.DAMAGED, note="the file is missing or damaged")
            )
        after = 0
        if known is not None:
            # What ended before the plan was made is what the plan is about. Any later end, of an open row's too, is
            # the answer, and nothing is bought beside it.
            ended = known.state not in OPEN or known.id in self._closed
            after = known.id if ended and self.plan.actions[key] == "buy" else known.id - 1
        for _ in range(3):
            if self.must_stop() and self.plan.actions[key] == "buy":
                self._tell_stopped(key)
                return
            record, mine = await self._claim(request, after)
            if not mine:
                if await self._follow(key, record):
                    return
                continue
            self._held.add(record.id)
            try:
                if await self._complete(key, request, record):
                    return
                after = record.id
            except ClaimLostError:
                after = record.id - 1
            finally:
                self._held.discard(record.id)
                await self.ledger.run(partial(Store.release, row_id=record.id))
        raise UnavailableError("The service does not keep what it was asked for.")

    async def _claim(self, request: Order, after: int) -> tuple[Record, bool]:
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
                    self._tell(key, "stored", record, None, await self.engine.thumbnail(record), cached=True)
                    return True
                self._tell(key, record.state, record, record.error)
            if record.state not in _UNDER_WAY:
                return True
            if not record.held(self.engine.clock.wall()):
                return False
            if record.state == "planned" and self.must_stop():
                self._tell_stopped(key)
                return True
            await asyncio.sleep(0.25)
            found = await self.ledger.run(lambda db: db.latest(self.engine.provider, [key]))
            if key not in found or found[key].id < record.id:
                return False
            record = found[key]

    async def _complete(self, key: str, request: Order, record: Record) -> bool:
        """Bring a claimed row to its end; False where a free picture has to be asked for anew."""
        ended = await Purchase(self.engine, self, request).drive(record)
        if ended is None:
            self._tell_stopped(key)
        elif ended.state == "stored":
            self._tell(key, "stored", ended, None, await self.engine.thumbnail(ended))
        elif ended.state == "expired" and self.engine.free:
            return False
        elif ended.state not in ("submitted", "completed"):
            self._tell(key, ended.state, ended, ended.error)
        return True
