"""The catalogue as a person meets it: what %qwen models lists, and what refreshing it has changed."""

from __future__ import annotations

from datetime import datetime

from qwen_widgets.core.catalogue import changes
from qwen_widgets.core.enhancer import LONGEST, optimizer
from qwen_widgets.core.errors import RejectedError, UnavailableError
from qwen_widgets.core.model_schema import further_names
from qwen_widgets.core.models import MODELS, SHELF, Model
from qwen_widgets.grid.describe import money, plural
from qwen_widgets.portal import portal
from qwen_widgets.studio import studio

#: Models beyond the built-in ones that are listed at once.
_LISTED = 20
_INPUTS = 12
_UNPRICED = 5


def refresh_catalogue() -> list[str]:
    """Read the account's catalogue, keep it, and say what has changed; the only place where it is asked for.

    Raises
    ------
    UnavailableError
        It could not be had; what was known stays.
    """
    here = studio()
    engine, provider = here.engine()
    try:
        found = portal.run(engine.client.models())
    except UnavailableError as error:
        error.next_step = "What was known stays; ask again in a moment."
        raise
    except RejectedError as error:
        error.next_step = "What was known stays."
        raise
    if not found.entries:
        raise UnavailableError(
            "The catalogue came without a model that can be read; what was known stays.", next_step=""
        )
    before = [*SHELF.models[: len(MODELS)], optimizer()]
    here.ledger().wait(lambda db: db.write_catalogue(provider.name, found.to_json()))
    here.learn(found)
    after = SHELF.models
    further = len(after) - len(MODELS)
    more = (
        f"; {further:,} beyond the built-in ones make pictures and are used by their full id: %qwen models TEXT "
        "finds them"
    )
    lines = [
        f"{provider.title} lists {plural(len(found.entries), 'model')}, {_date()}{more if further else ''}."
    ]
    lines += changes(before, [*after, optimizer()]) or [
        "The built-in models have the limits and prices they had."
    ]
    if found.unread:
        lines.append(f"{plural(found.unread, 'entry').replace('entrys', 'entries')} could not be read.")
    return lines


def model_lines(text: str = "") -> list[str]:
    """Return the built-in models, and with a text those whose id contains it, of the kept catalogue too."""
    here = studio()
    here.learn()
    provider = here.provider().name
    kept = here.ledger().wait(lambda db: db.read_catalogue(provider))
    needle = text.lower()
    built_in = {model.id for model in MODELS}
    known = SHELF.models
    mine = [model for model in known if model.id in built_in and _has(model, needle)]
    more = [model for model in known if model.id not in built_in and _has(model, needle)]
    lines = [_model_line(model) for model in mine]
    enhancer = optimizer()
    if _has(enhancer, needle):
        lines.append(_enhancer_line(enhancer))
    if needle:
        lines += [_model_line(model) for model in more[:_LISTED]]
        lines += _without_price(needle)
    if not lines:
        lines.append(f"No model that is known here has {text!r} in its id.")
    if needle and len(more) > _LISTED:
        lines.append(f"… and {len(more) - _LISTED:,} more: give more of the id.")
    if kept is None:
        lines.append("Limits and prices as built in; %qwen models --refresh asks the account's catalogue.")
    elif needle or not more:
        lines.append(f"Catalogue of {_date(kept[1])}.")
    else:
        lines.append(
            f"Catalogue of {_date(kept[1])}, with {len(more):,} more models: %qwen models TEXT finds them."
        )
    return lines


def _enhancer_line(model: Model) -> str:
    facts = (f"{money(float(model.price))} a text", f"prompt ≤ {LONGEST:,} characters", "-e", model.id)
    return f"{model.name:<23} {' · '.join(facts)}"


def _without_price(needle: str) -> list[str]:
    found = [model_id for model_id, price in SHELF.prices.items() if not price and needle in model_id.lower()]
    found = [model_id for model_id in found if SHELF.find(model_id) is None]
    more = ", …" if len(found) > _UNPRICED else ""
    names = ", ".join(found[:_UNPRICED]) + more
    return [f"Without a price in the account's list, so that nothing is bought: {names}."] if found else []


def _has(model: Model, needle: str) -> bool:
    return needle in model.id.lower() or needle in model.name.lower()


def _date(moment: float | None = None) -> str:
    at = datetime.now().astimezone() if moment is None else datetime.fromtimestamp(moment).astimezone()
    return f"{at:%Y-%m-%d %H:%M}"


def _model_line(model: Model) -> str:
    facts = [f"{money(float(model.price))} a picture", f"prompt ≤ {model.max_prompt} characters"]
    if model.takes_images:
        facts.append(
            f"{model.min_images}–{model.max_images} input pictures"
            if model.max_images > 1
            else "an input picture"
        )
    facts.append(model.limits if model.takes_size else "as large as its input")
    if not model.takes_seed:
        facts.append("no seed")
    if model.formats:
        facts.append("/".join(filter(None, model.formats)))
    if further := further_names(model.further):
        facts.append(f"--input {', '.join(further[:_INPUTS])}{' …' if len(further) > _INPUTS else ''}")
    name = model.name if model.name != model.id else ""
    return f"{name:<23} {' · '.join((*facts, model.id))}" if name else f"{model.id} {' · '.join(facts)}"
