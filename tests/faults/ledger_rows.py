"""Rows of a ledger: claimed, sent, looked at."""

from __future__ import annotations

from decimal import Decimal

from rig import a_request

from qwen_widgets.core.ledger import Ledger

HERE = "http://127.0.0.1:1"


PRICE = Decimal("0.03")


def claim(ledger: Ledger, request=None, *, after: int = 0):
    request = request or a_request()
    return ledger.wait(lambda db: db.claim(HERE, request, "run", PRICE, after=after))


def get(ledger: Ledger, row_id: int):
    return ledger.wait(lambda db: db.get(row_id))
