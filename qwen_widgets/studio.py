"""The studio: ledger, engines, price limits. The one door from a front end into the core, blocking and awaitable."""

# ruff: noqa: SLF001 - a grid's underscored side is the studio's: it fills and shows it.

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

from qwen_widgets.core import arguments, reading
from qwen_widgets.core.catalogue import Catalogue
from qwen_widgets.core.engine import Engine, Plan
from qwen_widgets.core.enhancer import DEFAULT_STYLE, TextRequest, Wish
from qwen_widgets.core.enhancing import Enhanced, Enhancing, Reworded, enhance_one, plan_enhancing
from qwen_widgets.core.errors import InputError, QwenError, SettingsError, StoppedError, clean
from qwen_widgets.core.forks import in_child, leave_behind
from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.core.models import SHELF, Model
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.reading import maybe, of, taking
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.core.wavespeed import WaveSpeed
from qwen_widgets.enhanced import check_enhanced, enhance_first, hold, release
from qwen_widgets.grid.choices import Choices
from qwen_widgets.grid.describe import Way, cell_ways, plural
from qwen_widgets.grid.grid import INDEX, Grid, Provider
from qwen_widgets.grid.lines import plan_line, restored_line, short_line
from qwen_widgets.grid.show import FrontEnd, View, cell_mark, front_end_named, open_view, say
from qwen_widgets.limits import check_limits, check_run
from qwen_widgets.options import GenerateOptions, images_of, plain_options, read_options
from qwen_widgets.portal import outcome, portal
from qwen_widgets.runs import beside_others, keep_choices, know_others
from qwen_widgets.settings import Settings, Sources

#: Seconds between two refreshes of the views; jupyter_server drops messages above 1,000 a second.
_REFRESH = 0.1


@dataclass
class Job:
    """A run that is planned and not begun: its grid, its line, and how to stop it.

    With `enhancing` the sweep is as it was typed and the plan what it can cost at most, until the run begins.
    """

    grid: Grid
    sweep: Sweep
    plan: Plan
    engine: Engine
    line: str
    stop: Stop = field(default_factory=Stop)
    enhancing: Enhancing | None = None
    #: US dollars that the run may cost, None for the setting.
    max_cost: float | None = None
    #: What the ledger had of the grid when the run began; another grid of the same run may have grown.
    others: Sweep | None = None


class Studio(Sources):
    """Settings, key, ledger and engines of one process.

    Parameters
    ----------
    settings : Settings, optional
    """

    @taking(settings=maybe(of(Settings)))
    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(Settings() if settings is None else settings)
        self._ledgers: dict[Path, Ledger] = {}
        self._engines: dict[tuple[object, ...], Engine] = {}
        self._lock = threading.Lock()
        in_child(self._renew)

    def _renew(self) -> None:
        """Make engines anew in a forked process: their connections and their loop are the parent's."""
        leave_behind(self._engines)
        self._lock, self._engines = threading.Lock(), {}

    def configure(self, **changes: Any) -> None:
        """Change settings; names and meanings as in `Settings`."""
        self.settings = self.settings.changed(changes)

    # --- settings ---------------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Return the ledger of the home folder, opened when it is first needed."""
        with self._lock:
            home = self.home
            if home in self._ledgers and self._ledgers[home].replaced:
                # Another kernel has put a new one in its place; what is under way ends with the old one.
                del self._ledgers[home]
                for mark in [mark for mark in self._engines if home in mark]:
                    portal.submit(self._engines.pop(mark).client.aclose())
            if home not in self._ledgers:
                self._ledgers[home] = Ledger(home)
            return self._ledgers[home]

    def restored_line(self) -> str:
        """Return what became of a lost ledger, as long as that is to be told; empty where there is nothing to tell."""
        told = self.ledger().wait(Store.restored)
        return "" if told is None else restored_line(told)

    def engine(self) -> tuple[Engine, Provider]:
        """Return the engine of the present settings."""
        provider = self.provider()
        key, _ = self.find_key()
        ledger = self.ledger()
        self.learn()
        with self._lock:
            mark = (
                provider.name,
                self.base_url,
                self.home,
                self.settings.offline_seconds,
                None if provider.offline else key,
            )
            engine = self._engines.get(mark)
            if engine is None:
                client = self._offline_client() if provider.offline else WaveSpeed(self.base_url, key)
                store = PictureStore(self.home)
                engine = Engine(client, ledger, store, provider=provider.name, free=provider.offline)
                if provider.offline:
                    engine.usual = self.settings.offline_seconds
                self._engines[mark] = engine
            engine.at_once = self.settings.at_once
        return engine, provider

    def _offline_client(self) -> WaveSpeed:
        from qwen_widgets.offline.service import (  # noqa: PLC0415  (only where it is used)
            OFFLINE_BASE_URL,
            OfflineService,
            ServiceSettings,
        )

        service = OfflineService(ServiceSettings(duration=self.settings.offline_seconds))
        return WaveSpeed(OFFLINE_BASE_URL, None, app=service.app)

    @taking(told=maybe(of(Catalogue)))
    def learn(self, told: Catalogue | None = None) -> None:
        """Take up the catalogue that is kept for the present provider: its limits, prices and further models.

        Parameters
        ----------
        told : Catalogue, optional
            What was just read of the provider, which then isn't read a second time.
        """
        mark = (self.home, self.provider().name)
        if told is None:
            if mark == SHELF.source:
                return
            kept = self.ledger().wait(lambda db: db.read_catalogue(mark[1]))
            told = Catalogue(()) if kept is None else Catalogue.from_json(kept[0])
        SHELF.learn(told.models(), mark, prices=told.prices)

    @taking(dollars=maybe(reading.dollars))
    def set_budget(self, dollars: float | None) -> None:
        """Set what a day may cost, all kernels of this home together; None takes the limit away."""
        budget = None if dollars is None else str(dollars)
        self.ledger().wait(lambda db: db.write_setting("budget", budget))

    # --- running ----------------------------------------------------------------------------------------

    async def _prepare(
        self, sweep: Sweep, *, fresh: bool, max_cost: float | None, title: str, wish: Wish | None
    ) -> Job:
        engine, provider = self.engine()
        if wish is not None:
            return await self._prepare_enhanced(sweep, wish, fresh=fresh, max_cost=max_cost, title=title)
        plan = await self._priced(engine, provider, await engine.plan(sweep, fresh=fresh), max_cost)
        grid = Grid(sweep, plan, title=title, provider=provider, store=engine.store, runner=self)
        return Job(grid, sweep, plan, engine, await self._told(engine, plan_line(sweep, plan, provider)))

    async def _prepare_enhanced(
        self, sweep: Sweep, wish: Wish, *, fresh: bool, max_cost: float | None, title: str
    ) -> Job:
        engine, provider = self.engine()
        enhancing, plan = await plan_enhancing(engine, sweep, wish, fresh=fresh)
        texts = await engine.ask_prices(enhancing.plan, accepted=max_cost is not None)
        enhancing = replace(enhancing, plan=texts)
        plan = await self._priced(engine, provider, plan, max_cost, extra=texts.cost)
        grid = Grid(sweep, plan, title=title, provider=provider, store=engine.store, runner=self)
        hold(grid)
        line = await self._told(engine, plan_line(sweep, plan, provider, enhancing))
        return Job(grid, sweep, plan, engine, line, enhancing=enhancing, max_cost=max_cost)

    async def _enhance(self, job: Job) -> list[str]:
        """Ask the enhancer what the job wants of it, and plan the pictures; on the portal. What is to be said of it."""
        assert job.enhancing is not None

        async def price(plan: Plan, done: Reworded) -> Plan:
            plan = await self._priced(job.engine, job.grid.provider, plan, job.max_cost, bought=done.kept)
            check_run(plan.cost + done.spent, self._limit(job.max_cost), job.grid.provider)
            return plan

        job.sweep, plan, lines = await enhance_first(job.grid, job.engine, job.enhancing, job.stop, price)
        job.plan, job.enhancing = replace(plan, run_id=job.grid.run_id), None
        return lines

    @taking(max_cost=maybe(reading.dollars), stop=maybe(of(Stop)), retry=reading.flag)
    async def aenhance(
        self,
        prompt: str,
        style: str = DEFAULT_STYLE,
        *,
        max_cost: float | None = None,
        stop: Stop | None = None,
        retry: bool = False,
    ) -> Enhanced:
        """Have one prompt enhanced, awaiting, from any loop; the same prompt and style again costs nothing.

        Parameters
        ----------
        stop : Stop, optional
            Set before the order is sent, nothing is bought; a text that is paid for still arrives.
        retry : bool
            Buy it again where it failed for good or is unknown.

        Raises
        ------
        InputError, BudgetError, SettingsError, StoppedError
            Nothing was bought.
        QwenError
            Why there is no text, with `.paid` and `.next_step`; the original stays as it is.
        """
        request = TextRequest(prompt, style)

        async def work() -> Enhanced:
            engine, provider = self.engine()
            plan = await engine.plan_orders([request], retry=retry)
            plan = await self._priced(engine, provider, plan, max_cost)
            return await enhance_one(engine, plan, stop or Stop())

        return await asyncio.wrap_future(portal.submit(work()))

    async def _priced(
        self,
        engine: Engine,
        provider: Provider,
        plan: Plan,
        max_cost: float | None,
        *,
        extra: Decimal = Decimal(0),
        bought: str = "nothing was bought",
    ) -> Plan:
        """Take up the API's prices and hold the plan to the limits; `extra` is what else the run costs."""
        plan = await engine.ask_prices(plan, accepted=max_cost is not None, bought=bought)
        await check_limits(engine, provider, plan.cost + extra, self._limit(max_cost))
        return plan

    async def _told(self, engine: Engine, line: str) -> str:
        """Return the line before a run, with what became of a lost ledger before it."""
        told = await engine.ledger.run(Store.restored)
        return line if told is None else f"{restored_line(told)}\n{line}"

    def _limit(self, max_cost: float | None) -> float:
        return self.settings.max_cost if max_cost is None else max_cost

    @taking(sweep=of(Sweep), title=reading.title)
    async def plan_job(self, sweep: Sweep, *, title: str) -> Job:
        """Plan a sweep without asking for prices: for a run that buys nothing."""
        engine, provider = self.engine()
        plan = await engine.plan(sweep)
        grid = Grid(sweep, plan, title=title, provider=provider, store=engine.store, runner=self)
        return Job(grid, sweep, plan, engine, await self._told(engine, plan_line(sweep, plan, provider)))

    @taking(sweep=of(Sweep), run_id=reading.text, title=reading.text, provider_name=reading.text)
    def recall(self, sweep: Sweep, *, run_id: str, title: str, provider_name: str) -> Grid:
        """Return the grid of an earlier run with what the ledger knows of its cells; nothing is asked for."""
        job = portal.run(self.plan_job(sweep, title=title))
        if job.grid.provider.name != provider_name:
            raise InputError(
                f"run {clean(run_id, longest=40)!r} was made by {clean(provider_name)}, and the provider is now {job.grid.provider.title}."
            )
        job.grid.run_id = run_id

        async def fill() -> None:
            async for update in job.engine.recall(job.plan):
                job.grid._apply(update)

        portal.run(fill())
        return job.grid

    @taking(grid=maybe(of(Grid)), sweep=of(Sweep), max_cost=maybe(reading.dollars), title=reading.title, priced=reading.flag)  # fmt: skip
    async def plan_into(
        self, grid: Grid | None, sweep: Sweep, *, max_cost: float | None, title: str = "", priced: bool = True
    ) -> Job:
        """Plan a run of which a grid is to become larger, and of nothing else that the grid holds; on the portal.

        Parameters
        ----------
        grid : Grid or None
            None for a new one.
        max_cost : float or None
            US dollars that the run may cost; None for the setting.
        priced : bool
            Whether the API is asked for its prices; without, nothing is asked of anybody.

        Raises
        ------
        BudgetError, SettingsError
            Nothing was bought.
        """
        engine, provider = self.engine()
        if grid is not None and provider.name != grid.provider.name:
            raise _other_provider(grid, provider)
        plan = await engine.plan(sweep)
        if priced:
            plan = await self._priced(engine, provider, plan, max_cost)
        else:
            await check_limits(engine, provider, plan.cost, self._limit(max_cost))
        line = await self._told(engine, short_line(sweep, plan, provider))
        if grid is None:
            grid = Grid(sweep, plan, title=title, provider=provider, store=engine.store, runner=self)
            return Job(grid, sweep, plan, engine, line)
        return Job(grid, grid.sweep.joined(sweep), replace(plan, run_id=grid.run_id), engine, line)

    @taking(job=of(Job), view=of(View))
    async def launch(self, job: Job, view: View) -> None:
        """Do a job's run on the portal, shown by a view that is there already, and await its end.

        No cell of the notebook waits for it, so that the page's Stop is heard; where the job's is set already, nothing
        is bought.
        """
        grid = job.grid
        if view not in grid._views:
            grid._views.append(view)
        if not grid._claim(job.stop.set, stoppable=True):
            raise _still_running()
        try:
            await job.engine.ledger.run(partial(_write_run, job))
            grid._begin(job.sweep, job.plan, job.stop.set, stoppable=True)
            grid._running = portal.submit(self._drive(job))
        except BaseException:
            grid._end()
            raise
        await asyncio.wrap_future(grid._running)

    def _read(self, prompts: object, options: GenerateOptions) -> tuple[list[str], GenerateOptions]:
        read = plain_options(prompts, options)
        # A provider that can't be had is told of later: a typing error comes first.
        with contextlib.suppress(QwenError):
            self.learn()
        return read

    def prepare(self, prompts: arguments.PromptsLike, **options: Unpack[GenerateOptions]) -> Job:
        """Plan a run: everything is read and checked, nothing is bought."""
        texts, options = self._read(prompts, options)
        sweep, rest = read_options(texts, options, portal.run(self._take(options)))
        return portal.run(self._prepare(sweep, **rest))

    async def aprepare(self, prompts: arguments.PromptsLike, **options: Unpack[GenerateOptions]) -> Job:
        """Plan a run, awaiting."""
        texts, options = self._read(prompts, options)
        images = await asyncio.wrap_future(portal.submit(self._take(options)))
        sweep, rest = read_options(texts, options, images)
        return await asyncio.wrap_future(portal.submit(self._prepare(sweep, **rest)))

    async def _take(self, options: GenerateOptions) -> tuple[InputPicture, ...]:
        """Check and keep the input pictures; nothing is uploaded."""
        given, models, fit = images_of(options)
        return await self.take(given, models, fit=fit)

    @taking(images=arguments.images, models=arguments.models_alone, fit=reading.flag)
    async def take(
        self, images: Sequence[object], models: Sequence[Model], *, fit: bool = False
    ) -> tuple[InputPicture, ...]:
        """Check input pictures for some models and keep them, on the portal; nothing is uploaded."""
        if not images:
            return ()
        engine, _ = self.engine()
        return await engine.inputs.take(images, models, fit=fit)

    @taking(job=of(Job), kind=maybe(front_end_named))
    def run(self, job: Job, *, kind: FrontEnd | None = None) -> Grid:
        """Show the job's grid and do its run; an interrupt leaves it going on in the background, buying nothing more.

        Raises
        ------
        KeyboardInterrupt
        """
        try:
            if job.enhancing is not None:
                for line in portal.run(self._enhance(job)):
                    say(line)
            portal.wait(self._begin(job, kind))
        except KeyboardInterrupt as interrupt:
            job.stop.set()
            job.grid.stop()
            arriving = sum(cell.state in ("sending", "submitted", "completed") for cell in job.grid)
            words = "stopped: nothing more is bought" + (
                f", and {plural(arriving, 'picture')} on the way will still arrive in the grid"
                if arriving
                else ""
            )
            interrupt.args = (words,)
            # IPython asks an exception for its own rendering: the frames of a wait say nothing, and take a second.
            interrupt._render_traceback_ = lambda: [f"KeyboardInterrupt: {words}"]  # type: ignore[attr-defined]
            raise
        return job.grid

    @taking(job=of(Job), kind=maybe(front_end_named))
    async def arun(self, job: Job, *, kind: FrontEnd | None = None) -> Grid:
        """Show the job's grid and await its run; cancelling has the effect of an interrupt."""
        try:
            if job.enhancing is not None:
                for line in await asyncio.wrap_future(portal.submit(self._enhance(job))):
                    say(line)
            await asyncio.shield(asyncio.wrap_future(self._begin(job, kind)))
        except asyncio.CancelledError:
            job.stop.set()
            job.grid.stop()
            raise
        return job.grid

    def _begin(self, job: Job, kind: FrontEnd | None) -> Future[None]:
        """Show the job's grid in the cell that runs, and start its run on the portal."""
        grid = job.grid
        try:
            job.engine.ledger.wait(partial(_write_run, job))
            grid._begin(job.sweep, job.plan, job.stop.set)
            release(grid)
            self._show(grid, kind)
            grid._running = portal.submit(self._drive(job))
        except BaseException:
            grid._end()
            raise
        return grid._running

    async def _drive(self, job: Job) -> None:
        """Run a job on the portal, and keep its views fresh."""
        grid = job.grid
        changed = asyncio.Event()
        grid._watchers.append(changed.set)
        refreshing = asyncio.create_task(self._refresh(grid, changed))
        try:
            if job.others is not None:
                await know_others(grid, job.plan, job.engine, job.others)
            async for update in job.engine.run(job.plan, job.stop):
                grid._apply(update)
        finally:
            grid._watchers.remove(changed.set)
            refreshing.cancel()
            grid._end()
            await asyncio.to_thread(self._each_view, grid, "finish")

    async def _refresh(self, grid: Grid, changed: asyncio.Event) -> None:
        while True:
            try:
                # Without news the clock in the header still goes on.
                async with asyncio.timeout(1.0):
                    await changed.wait()
            except TimeoutError:
                pass
            changed.clear()
            await asyncio.to_thread(self._each_view, grid, "refresh")
            await asyncio.sleep(_REFRESH)

    def _each_view(self, grid: Grid, what: Literal["refresh", "finish"]) -> None:
        for view in tuple(grid._views):
            getattr(view, what)()

    # --- the grid's side (grid.Runner) ------------------------------------------------------------------

    def _show(self, grid: Grid, kind: FrontEnd | None) -> None:
        grid._views.append(open_view(grid, kind=kind))
        grid._shown_in = cell_mark()

    @taking(grid=of(Grid))
    def show(self, grid: Grid) -> None:
        """Show a grid again; in the very cell that has just shown it, once is enough."""
        mark = cell_mark()
        if mark is not None and grid._shown_in == mark:
            return
        self._show(grid, None)

    @taking(grid=of(Grid), view=of(View))
    def watch(self, grid: Grid, view: View) -> None:
        """Have a view told of all that happens to a grid, whoever runs it."""
        if view not in grid._views:
            grid._views.append(view)

    @taking(grid=of(Grid), before=of(Choices))
    def chosen(self, grid: Grid, before: Choices) -> Choices:
        """Keep a grid's choices in the ledger, where those of another grid of the same run stay."""
        return self.ledger().wait(partial(keep_choices, grid, before))

    @taking(running=of(Future), timeout=maybe(reading.seconds))
    def wait(self, running: Future[None], timeout: float | None) -> None:
        """Wait for a run to end; on the portal's own thread (a user's callback) it goes on inside of the call."""

        async def ended() -> None:
            async with asyncio.timeout(timeout):
                await asyncio.shield(asyncio.wrap_future(running))

        if portal.here:
            portal.wait(portal.submit(ended()))
        else:
            outcome(running, timeout)

    @taking(grid=of(Grid), sweep=of(Sweep))
    def extend(self, grid: Grid, sweep: Sweep) -> None:
        """Run a larger sweep into a grid; what is in it already is not asked for again."""
        self._again(grid, sweep, retry=False)

    @taking(grid=of(Grid))
    def retry(self, grid: Grid) -> None:
        """Buy again what failed, is unknown, or was stopped."""
        self._again(grid, grid.sweep, retry=True)

    def _again(self, grid: Grid, sweep: Sweep, *, retry: bool) -> None:
        stop = Stop()
        if not grid._claim(stop.set):
            raise _still_running()
        try:
            job = portal.run(self._further(grid, sweep, sweep, stop, retry=retry))
            if stop.is_set():
                raise _stopped()
            say(job.line)
        except BaseException:
            grid._end()
            raise
        self.run(job)

    async def _further(
        self, grid: Grid, sweep: Sweep, asked: Sweep, stop: Stop, *, retry: bool = False, fresh: bool = False
    ) -> Job:
        """Plan a further run of a grid, which then is `sweep`, and of which only `asked` is looked at."""
        check_enhanced(grid)
        engine, provider = self.engine()
        if provider.name != grid.provider.name:
            raise _other_provider(grid, provider)
        plan = await engine.plan(asked, retry=retry, fresh=fresh)
        plan = await self._priced(engine, provider, replace(plan, run_id=grid.run_id), grid.max_cost)
        line = await self._told(engine, plan_line(asked, plan, provider))
        return Job(grid, sweep, plan, engine, line, stop)

    @taking(grid=of(Grid), row=INDEX, column=INDEX, key=reading.text)
    def act(self, grid: Grid, row: int, column: int, key: str) -> None:
        """Do in the background what a cell offers; what it doesn't offer is ignored, and nothing waits here."""
        if (row, column) not in grid.sweep.requests:
            return
        way = next((way for way in cell_ways(grid, row, column) if key and way.action.key == key), None)
        stop = Stop()
        if way is not None and grid._claim(stop.set, stoppable=True):
            grid._running = portal.submit(self._go(grid, way, stop))

    async def _go(self, grid: Grid, way: Way, stop: Stop) -> None:
        """Run a way to go on; an error is the grid's message, because nobody is there to raise to."""
        message, begun = "", False
        try:
            # The claim shows at once: nothing more is offered.
            await asyncio.to_thread(self._each_view, grid, "refresh")
            known = grid.sweep
            sweep = Sweep(known.rows, way.seeds, {**known.requests, **way.requests}, known.notes)
            asked = Sweep(known.rows, way.seeds, way.requests)
            job = await self._further(grid, sweep, asked, stop, retry=way.anew, fresh=way.anew)
            if stop.is_set():
                # Not begun: a picture that is to be made anew stays where it is.
                raise _stopped()
            if not way.buys:
                stop.set()
            await job.engine.ledger.run(partial(_write_run, job))
            grid._begin(job.sweep, job.plan, stop.set, stoppable=True)
            begun = True
            await self._drive(job)
        except QwenError as error:
            message = " ".join(text for text in (error.message, error.next_step) if text)
        except Exception as error:  # noqa: BLE001  (shown in the page: a background task's traceback is read by nobody)
            message = f"A fault in qwen_widgets: {type(error).__name__}: {clean(error)}"
        finally:
            # A run that was begun has ended, and the next one may have been claimed since.
            if not begun:
                grid._end(message)
            elif message:
                grid.message = message
            if not begun or message:
                await asyncio.to_thread(self._each_view, grid, "finish")


def _write_run(job: Job, db: Store) -> None:
    """Write a run down; what another grid of the same run has added to it meanwhile comes into this one."""
    grid = job.grid
    job.sweep, job.others = beside_others(grid.run_id, job.sweep, db)
    db.write_run(grid.run_id, grid.provider.name, grid.title, job.sweep.to_json(), float(job.plan.cost))


def _stopped() -> StoppedError:
    return StoppedError("Stopped before anything was bought.", next_step="Ask for it again to buy it.")


def _still_running() -> InputError:
    return InputError("this grid is still running; wait for it with grid.wait() or stop it first.")


def _other_provider(grid: Grid, provider: Provider) -> SettingsError:
    return SettingsError(
        f"this grid was made by {grid.provider.title} and the provider is now {provider.title}; "
        "its further pictures would not be comparable."
    )


_default: Studio | None = None
_default_lock = threading.Lock()


def studio() -> Studio:
    """Return this process's studio."""
    global _default  # noqa: PLW0603  (one studio a process, made when it is first needed)
    with _default_lock:
        if _default is None:
            _default = Studio()
        return _default


def _begin_anew() -> None:
    global _default_lock  # noqa: PLW0603  (another thread may hold it in the process that forks)
    _default_lock = threading.Lock()


in_child(_begin_anew)
