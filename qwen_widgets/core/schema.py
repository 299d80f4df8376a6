"""The ledger's tables, and how an older file becomes one of today. Text alone; `ledger` runs it.

`purchase.seed` is -1 where the model takes none. `purchase.inputs` is JSON of what a request holds beside prompt, size
and seed (input pictures by their hash, output format), empty where there is nothing. `purchase.text` is the answer
of a model that makes text. `purchase.server_at` and `purchase.missed_at` are by the service's clock.
"""

from __future__ import annotations

SCHEMA = 4
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
#: Rows that an earlier version ended without proof. What a user gave up has no such error; what was found to be
#: another row's prediction has that row beside it.
_ENDED_EARLY = (
    "prediction_id IS NOT NULL AND (state = 'invalid_output' OR"
    """ (state = 'expired' AND error LIKE '%"kind": "ExpiredError"%'))"""
    " AND NOT EXISTS (SELECT 1 FROM purchase AS twin WHERE twin.provider = purchase.provider AND twin.id != purchase.id"
    " AND twin.prediction_id = purchase.prediction_id AND twin.state NOT IN ('invalid_output', 'expired'))"
)
_STANDS_ALONE = (
    "NOT EXISTS (SELECT 1 FROM purchase AS other WHERE other.provider = purchase.provider AND other.key = purchase.key"
    " AND other.id != purchase.id"
    " AND other.state IN ('stored', 'planned', 'sending', 'submitted', 'completed', 'unknown'))"
)
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
    missed_at REAL,
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
    3: (
        "ALTER TABLE purchase ADD COLUMN missed_at REAL",
        # Passing causes had ended these: a page in place of a picture, an address that didn't work yet, one 404. What
        # stands for its request (nothing else is here or open) is open again under its own key …
        (
            f"UPDATE OR IGNORE purchase SET state = 'completed', error = NULL, ended_at = NULL WHERE {_ENDED_EARLY}"
            f" AND {_STANDS_ALONE}"
        ),
        # … and what has been bought again since is nobody's any more, but it is paid for.
        (
            "UPDATE OR IGNORE purchase SET state = 'completed', error = NULL, ended_at = NULL,"
            f" key = 'unassigned ' || prediction_id WHERE {_ENDED_EARLY}"
        ),
        # A prediction that was taken for gone may have no outputs yet: it is asked for its result.
        "UPDATE purchase SET state = 'submitted' WHERE state = 'completed' AND coalesce(outputs, '[]') = '[]'",
        "UPDATE purchase SET state = 'expired' WHERE state = 'invalid_output'",
        # What a gateway had refused was kept like the service's own refusal; which of them it was isn't in the row.
        # Nothing was made either way, so asking again costs nothing.
        *(
            f"""UPDATE purchase SET error = replace(error, '"kind": "{kind}"', '"kind": "NotTakenError"')"""
            f""" WHERE state = 'rejected' AND error LIKE '%"kind": "{kind}"%'"""
            for kind in ("RejectedError", "SettingsError")
        ),
    ),
}
