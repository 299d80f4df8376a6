"""The ledger's tables, and how an older file becomes one of today. Text alone; `ledger` runs it.

`purchase.seed` is -1 where the model takes none. `purchase.inputs` is JSON of what a request holds beside prompt, size
and seed (input pictures by their hash, output format), empty where there is nothing. `purchase.text` is the answer
of a model that makes text.
"""

from __future__ import annotations

SCHEMA = 3
_UPLOAD = """
CREATE TABLE upload (
    provider TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    address TEXT,
    expires_at REAL,
    owner TEXT,
    lease_until REAL,
    PRIMARY KEY (provider, sha256)
)
"""
_CATALOGUE = "CREATE TABLE catalogue (provider TEXT PRIMARY KEY, models TEXT NOT NULL, at REAL NOT NULL)"
TABLES: tuple[str, ...] = (
    """
CREATE TABLE purchase (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    price INTEGER NOT NULL,
    prediction_id TEXT,
    outputs TEXT,
    flagged INTEGER NOT NULL DEFAULT 0,
    seconds REAL,
    sha256 TEXT,
    suffix TEXT,
    got_width INTEGER,
    got_height INTEGER,
    error TEXT,
    owner TEXT,
    lease_until REAL,
    created_at REAL NOT NULL,
    sent_at REAL,
    ended_at REAL,
    server_at REAL,
    inputs TEXT NOT NULL DEFAULT '',
    text TEXT
)
    """,
    """
CREATE UNIQUE INDEX purchase_open ON purchase (provider, key)
    WHERE state IN ('planned', 'sending', 'submitted', 'completed', 'unknown')
    """,
    "CREATE INDEX purchase_key ON purchase (provider, key, id)",
    """
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    purchase_id INTEGER NOT NULL,
    at REAL NOT NULL,
    state TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT ''
)
    """,
    """
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    title TEXT NOT NULL,
    sweep TEXT NOT NULL,
    max_cost REAL,
    choices TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL
)
    """,
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE duration (model TEXT NOT NULL, provider TEXT NOT NULL, seconds REAL NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX duration_model ON duration (provider, model, at)",
    _UPLOAD,
    _CATALOGUE,
)
#: From each schema to the next one.
UPGRADES: dict[int, tuple[str, ...]] = {
    1: ("ALTER TABLE purchase ADD COLUMN server_at REAL",),
    2: (
        "ALTER TABLE purchase ADD COLUMN inputs TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE purchase ADD COLUMN text TEXT",
        _UPLOAD,
        _CATALOGUE,
    ),
}
