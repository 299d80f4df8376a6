"""Lost answers: an order whose answer never came is looked for in the account's history until its outcome is proven.

When to look is counted on the monotonic clock, and across processes by the service's own dates. The wall clock has
no say: setting it buys nothing and gives nothing up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from qwen_widgets.core import history, reconcile
from qwen_widgets.core.errors import (
    ExpiredError,
    KeyRefusedError,
    NotSentError,
    QwenError,
    UnavailableError,
    UnknownOutcomeError,
)
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.reconcile import Finding, Sent
from qwen_widgets.core.records import Record
from qwen_widgets.core.states import KEPT, Heard

if TYPE_CHECKING:
    from qwen_widgets.core.engine import Engine

_ABSENT = "proven absent"
#: Looks that must agree: entries can move from page to page while one is taken.
_LOOKS = 2
#: Further looks, at growing distances, after the history has had its time to settle.
_LATE_LOOKS = 6
#: What an hour more or less doesn't matter to: the service may delete a little early.
_HOUR = 3600.0
#: One account's history proves nothing of what was sent to another.
_OTHER_KEY = UnknownOutcomeError(
    "it was sent with another API key, and this key's account does not show it",
    next_step="Run the cell again with the key it was sent with to look there",
)


class Halting(Protocol):
    """What is asked of the run that the order belongs to."""

    def must_stop(self) -> bool:
        """Whether nothing more may be bought."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One look into the history.

    Attributes
    ----------
    record : Record
        The row behind it; `submitted` where its prediction was found.
    trouble : QwenError or None
        Why what wasn't found isn't proven absent by it.
    """

    record: Record
    finding: Finding
    trouble: QwenError | None


class LostAnswers:
    """Finds out what became of orders whose answers were lost."""

    def __init__(self, engine: Engine, run: Halting) -> None:
        self.engine = engine
        self.run = run

    async def settle(self, record: Record) -> Record:
        """Look for a lost answer in the account's history; the row goes on, is proven absent, or stays unknown."""
        engine, sendings = self.engine, self.engine.sendings
        if engine.free:
            # The embedded service costs nothing: what was lost is asked for anew.
            return await self._absent(record)
        settle = [after * engine.time_scale for after in reconcile.SETTLE]
        # Where what came proves nothing, though nothing is to be waited for: after 1, 2, 4, 8, 16 and 32 s.
        again = [settle[0] / 2 * 2**n for n in range(_LATE_LOOKS)]
        # Where another process sent it, nobody knows how long ago until the service has told its time.
        wait = max(0.0, settle[0] - sendings.age(record)) if sendings.is_ours(record.id) else 0.0
        proofs = past_keeping = odd = late = 0
        while True:
            await asyncio.sleep(wait)
            sendings.looked(record.id)
            age = sendings.age(record)
            settled = age >= settle[-1]
            look = await self._look(record, settled=settled)
            record = look.record
            if record.state != "unknown" or isinstance(look.trouble, KeyRefusedError):
                break
            proofs += look.trouble is None
            # One Date alone may be wrong.
            past_keeping = past_keeping + 1 if self._deleted_by_now(record) else 0
            if past_keeping == _LOOKS:
                gone = ExpiredError(
                    "Its answer was lost, and the service has deleted it by now.", paid="unknown"
                )
                return await self._go(record, Heard.GONE, error=gone)
            if settled:
                if look.trouble is None and look.finding.verdict == "ambiguous":
                    break
                if look.trouble is None and proofs >= _LOOKS:
                    if await self._was_sent_elsewhere(record):
                        return await self._leave_unknown(record, look.finding, _OTHER_KEY)
                    return await self._absent(record)
                if late == len(again):
                    break
                wait = again[late]
                late += 1
            else:
                wait = next(at for at in settle if at > age) - age
                if look.trouble is not None:
                    wait = min(wait, again[min(odd, len(again) - 1)])
                    odd += 1
        if record.state != "unknown":
            return record
        return await self._leave_unknown(record, look.finding, look.trouble)

    async def _look(self, record: Record, *, settled: bool) -> _Look:
        """Look into the history once; what is found is written down in the very transaction that judges it."""
        engine, ledger = self.engine, self.engine.ledger
        contradictions = engine.client.contradictions

        def bounds(db: Store) -> tuple[Sent, dict[str, float]]:
            oldest = (engine.client.now() or 0.0) - KEPT + _HOUR
            dated = db.dated_predictions(engine.provider, record.model, engine.client.account, oldest)
            return self._sent(db.get(record.id)), dated

        async def enough(listing: history.Listing) -> bool:
            return reconcile.reaches_back(listing, record.model, *await ledger.run(bounds))

        listing = await history.read(
            engine.client, model=record.model, enough=enough, scale=engine.time_scale
        )

        def judge(db: Store) -> _Look:
            row = db.check_claim(record.id, "unknown")
            sent, dated = bounds(db)
            trouble = listing.trouble
            if engine.client.contradictions != contradictions:
                trouble = UnavailableError("The service's dates contradict each other.")
            elif trouble is None and not reconcile.proves(listing, row.model, sent, dated):
                trouble = UnavailableError("It does not show all that was made.")
            elif trouble is None and self._may_be_deleted(row):
                trouble = UnavailableError("The service may have deleted it by now.")
            known = db.prediction_ids(engine.provider)
            candidates = [e for e in listing.entries.values() if reconcile.could_be(e, row.model, sent)]
            finding = reconcile.find(row, candidates, known, self._rivals(db, row, sent))
            if finding.verdict == "absent" and settled and trouble is None:
                finding = reconcile.find(row, reconcile.twins(row, listing), known, ())
            ours = finding.prediction
            if ours is not None and (trouble is None or reconcile.likeness(ours.input, row) == "same"):
                db.accept(row.id, ours.id, note="found in the history")
            elif ours is not None:
                # The only one that could be it, as long as there may be others that didn't come.
                finding = Finding("ambiguous", strays=(ours,))
            return _Look(db.get(row.id), finding, trouble)

        return await ledger.run(judge)

    def _sent(self, record: Record) -> Sent:
        """Return when a row was sent, as closely as the dates tell."""
        now = self.engine.client.now()
        if now is None:
            return Sent(record.server_at, record.server_at)
        # At the latest when this process first knew of it; it was this process that sent it, then.
        known_for = self.engine.sendings.known_for(record.id)
        if self.engine.sendings.is_ours(record.id):
            by_us = now - known_for
            if record.server_at is None:
                return Sent(None, by_us)
            return Sent(min(record.server_at, by_us), max(record.server_at, by_us))
        if record.server_at is None or record.server_at > now - known_for + reconcile.BEFORE:
            return Sent(None, now - known_for)
        return Sent(record.server_at, record.server_at)

    def _rivals(self, db: Store, record: Record, sent: Sent) -> list[Record]:
        """Return the further rows to which a prediction that doesn't tell its input could belong."""
        return [
            other
            for other in db.lost(self.engine.provider, record.model)
            if other.id != record.id
            and (
                other.server_at is None
                or sent.earliest is None
                or sent.latest is None
                or sent.earliest - reconcile.AFTER - reconcile.BEFORE
                < other.server_at
                < sent.latest + reconcile.AFTER + reconcile.BEFORE
            )
        ]

    def _deleted_by_now(self, record: Record) -> bool:
        age = self.engine.sendings.by_dates(record)
        return age is not None and age > KEPT + reconcile.BEFORE

    def _may_be_deleted(self, record: Record) -> bool:
        """Whether it can be missing because the service no longer keeps it."""
        age = self.engine.sendings.by_dates(record)
        if age is None and not self.engine.sendings.is_ours(record.id):
            # The wall clock can only add to the doubt.
            age = abs(self.engine.clock.wall() - (record.sent_at or record.created_at))
        return age is not None and age > KEPT - _HOUR

    async def _go(self, record: Record, heard: Heard, **values: Any) -> Record:
        return await self.engine.ledger.run(lambda db: db.go(record, heard, **values))

    async def _was_sent_elsewhere(self, record: Record) -> bool:
        sent_with = await self.engine.ledger.run(partial(Store.sent_with, row_id=record.id))
        return sent_with not in ("", self.engine.client.account)

    async def _absent(self, record: Record) -> Record:
        """Send it once more, and only once."""
        before = await self.engine.ledger.run(partial(Store.count_events, row_id=record.id, note=_ABSENT))
        if before == 0 and not self.run.must_stop():
            return await self._go(record, Heard.ABSENT, note=_ABSENT)
        lost = NotSentError(
            "The order was lost on the way; the account's history shows that nothing was made."
        )
        return await self._go(record, Heard.ABSENT_AGAIN, error=lost, note=_ABSENT)

    async def _leave_unknown(self, record: Record, finding: Finding, trouble: QwenError | None) -> Record:
        strays = finding.strays
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
            prediction_id=record.error.prediction_id if record.error is not None else None,
        )

        def work(db: Store) -> Record:
            left = db.go(record, Heard.UNSURE, error=error)
            for stray in strays:
                db.adopt(self.engine.provider, stray.id, record, account=self.engine.client.account)
            return left

        return await self.engine.ledger.run(work)
