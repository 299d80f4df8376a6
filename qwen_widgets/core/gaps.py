"""Gaps: before a new ledger buys, what the lost one may have bought last is read back from the account's history.

What the history has is fetched and not bought. Where it can't be read, or doesn't reach back or say what was asked,
nothing is bought before the user has said so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qwen_widgets.core import history, reconcile
from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.errors import KeyRefusedError, NoCreditError, QwenError, UnprovenError
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.reconcile import Sent
from qwen_widgets.core.records import Record, with_addresses
from qwen_widgets.core.request import Order
from qwen_widgets.core.restored import Gap
from qwen_widgets.core.states import KEPT

if TYPE_CHECKING:
    from qwen_widgets.core.engine import Engine, Plan

#: Seconds by which the clocks of this machine and of the service may differ.
_MARGIN = 900.0


async def close_gaps(engine: Engine, plan: Plan) -> Plan:
    """Return a plan that buys nothing of what a lost ledger may have bought.

    Raises
    ------
    UnprovenError, KeyRefusedError
        That can't be known; nothing was bought.
    """
    buys = {key: order for key, order in plan.requests.items() if plan.actions[key] == "buy"}
    if engine.free or not buys:
        return plan
    for gap in await engine.ledger.run(lambda db: db.gaps()):
        seen = gap.seen.get(engine.provider, {})
        models = _models(plan, buys)
        if models <= seen.keys():
            found = [one for model in models for one in seen[model]]
            plan = await _take_up(engine, plan, buys, found)
            await _check(engine, plan, buys, found)
        else:
            plan = await _look_back(engine, plan, buys, gap)
    return plan


async def _look_back(engine: Engine, plan: Plan, buys: Mapping[str, Order], gap: Gap) -> Plan:
    """Read the history of a gap, take up what is ours, and keep the rest for the next run."""
    try:
        seen, reaches_back = await _read(engine, plan, buys, gap)
        plan = await _take_up(engine, plan, buys, _all(seen))
        # The history lags behind: what was ordered last may not be in it yet.
        settled = engine.began + reconcile.SETTLE[-1] * engine.time_scale
        if reaches_back and _left(plan, buys) and (wait := settled - engine.clock.monotonic()) > 0:
            await asyncio.sleep(wait)
            seen, reaches_back = await _read(engine, plan, buys, gap)
            plan = await _take_up(engine, plan, buys, _all(seen))
    except (KeyRefusedError, NoCreditError):
        raise
    except QwenError as error:
        raise UnprovenError(
            "the ledger was lost, and what it had bought last can't be known: the account's history can't be read "
            f"({error.message.rstrip('.')}); nothing was bought. Run the cell again when the service answers."
        ) from None
    if not _left(plan, buys):
        return plan
    if not reaches_back:
        raise UnprovenError(
            "the ledger was lost without a copy that is new enough: these pictures may have been bought before, longer "
            "ago than the account's history reaches; nothing was bought."
        )
    last = await engine.ledger.run(lambda db: db.last_account(engine.provider))
    if last not in ("", engine.client.account):
        raise UnprovenError(
            "the ledger was lost, and what it had bought last can't be known: it bought with another API key, and this "
            "key's account doesn't show that; nothing was bought."
        )
    await _check(engine, plan, buys, _all(seen))

    def keep(db: Store) -> None:
        known = db.prediction_ids(engine.provider)
        left = {model: tuple(one for one in found if one.id not in known) for model, found in seen.items()}
        db.write_gaps(
            tuple(
                replace(
                    one, seen={**one.seen, engine.provider: {**one.seen.get(engine.provider, {}), **left}}
                )
                if (one.since, one.until) == (gap.since, gap.until)
                else one
                for one in db.gaps()
            )
        )

    await engine.ledger.run(keep)
    return plan


async def _read(
    engine: Engine, plan: Plan, buys: Mapping[str, Order], gap: Gap
) -> tuple[dict[str, list[Prediction]], bool]:
    """Return what the history has of each model that is to be bought, and whether that is all since the gap began.

    It is read to its end: when the gap began is known by this machine's clock alone, which may have been set.

    Raises
    ------
    QwenError
        It can't be read.
    """
    seen: dict[str, list[Prediction]] = {}
    all_of_it = gap.since is not None
    for model in _models(plan, buys):
        listing = await history.read(engine.client, model=model, scale=engine.time_scale)
        if listing.trouble is not None:
            raise listing.trouble
        seen[model] = list(listing.entries.values())
        now = engine.client.now()
        # What the service may have deleted, it need not show.
        oldest = (now or 0.0) - KEPT + _MARGIN
        known = partial(
            Store.dated_predictions,
            provider=engine.provider,
            model=model,
            account=engine.client.account,
            since=oldest,
        )
        dated = await engine.ledger.run(known)
        all_of_it = all_of_it and now is not None and gap.since is not None and gap.since > oldest
        all_of_it = all_of_it and reconcile.proves(listing, model, Sent(), dated)
    return seen, all_of_it


def _left(plan: Plan, buys: Mapping[str, Order]) -> list[str]:
    return [key for key in buys if plan.actions[key] == "buy"]


def _models(plan: Plan, buys: Mapping[str, Order]) -> set[str]:
    """Return the models of what is still to be bought: one's history tells nothing of another's."""
    return {buys[key].model.id for key in _left(plan, buys)}


def _all(seen: Mapping[str, Sequence[Prediction]]) -> list[Prediction]:
    return [one for found in seen.values() for one in found]


async def _take_up(engine: Engine, plan: Plan, buys: Mapping[str, Order], seen: Sequence[Prediction]) -> Plan:
    """Have those requests fetched that a prediction was made of."""

    def take(db: Store) -> dict[str, Record]:
        known = db.prediction_ids(engine.provider)
        # The oldest first: a further one of the same request is somebody's own purchase.
        unclaimed = [one for one in reversed(seen) if one.id not in known and not one.failed]
        taken = []
        for key in _left(plan, buys):
            if key != buys[key].key:
                continue  # the words of its prompt aren't known yet
            expected = _expected(engine, buys[key], db)
            for one in unclaimed:
                if not _is_of(one, expected) or reconcile.likeness(one.input, expected) != "same":
                    continue
                created = one.created_at.timestamp() if one.created_at is not None else engine.clock.wall()
                if db.recover(
                    engine.provider, buys[key], plan.run_id, plan.prices[key], one.id,
                    sent_at=created, account=engine.client.account,
                ):  # fmt: skip
                    taken.append(key)
                    unclaimed.remove(one)
                    break
        return db.latest(engine.provider, taken)

    found = await engine.ledger.run(take)
    return replace(
        plan,
        records={**plan.records, **found},
        actions={**plan.actions, **dict.fromkeys(found, "fetch")},
    )


async def _check(engine: Engine, plan: Plan, buys: Mapping[str, Order], seen: Sequence[Prediction]) -> None:
    """Raise where a prediction may be one of those that are to be bought, and doesn't say."""

    def doubtful(db: Store) -> int:
        known = db.prediction_ids(engine.provider)
        unclaimed = [one for one in seen if one.id not in known and not one.failed]
        wanted = [_expected(engine, buys[key], db) for key in _left(plan, buys)]
        return sum(
            any(_is_of(one, each) and reconcile.likeness(one.input, each) != "other" for each in wanted)
            for one in unclaimed
        )

    if count := await engine.ledger.run(doubtful):
        raise UnprovenError(
            f"the ledger was lost, and {count} of the account's predictions may be of these very pictures and don't say "
            "what they were asked with (%qwen history --remote lists them); nothing was bought."
        )


def _is_of(one: Prediction, expected: Record) -> bool:
    """Whether a prediction can be of a row's model; one that doesn't say can."""
    return one.model in ("", expected.model)


def _expected(engine: Engine, order: Order, db: Store) -> Record:
    """Return the row that an order would have, with where its input pictures were last known to be."""
    known = [db.uploaded(engine.provider, picture.sha256) for picture in order.images]
    addresses = [address for address in known if address]
    whole = len(addresses) == len(known) > 0
    return Record(
        id=0, provider=engine.provider, key=order.key, state="unknown", model=order.model.id, prompt=order.prompt,
        size=order.size, seed=order.seed, run_id="", price=order.model.price, prediction_id=None, outputs=(),
        flagged=False, seconds=None, sha256=None, suffix=None, got=None, error=None, owner=None, lease_until=0.0,
        created_at=0.0, sent_at=None, inputs=with_addresses(order.inputs, addresses) if whole else order.inputs,
    )  # fmt: skip
