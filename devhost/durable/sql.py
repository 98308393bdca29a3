"""Every SQL statement of the store, each with a name and a line of purpose."""

from __future__ import annotations

SCHEMA_VERSION = 1

CREATE = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE instances (
    instance_id TEXT PRIMARY KEY, kind TEXT NOT NULL, execution_id TEXT NOT NULL, name TEXT NOT NULL,
    version TEXT, status TEXT NOT NULL, input TEXT, output TEXT, custom_status TEXT, created TEXT NOT NULL,
    updated TEXT NOT NULL, parent TEXT, continued INTEGER NOT NULL DEFAULT 0, failure_details TEXT
) WITHOUT ROWID;
CREATE TABLE history (
    instance_id TEXT NOT NULL, episode INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (instance_id, episode)
) WITHOUT ROWID;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT, payload TEXT NOT NULL
);
CREATE INDEX messages_of_instance ON messages (instance_id);
CREATE TABLE activities (
    id INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL,
    event_id INTEGER NOT NULL, name TEXT NOT NULL, input TEXT
);
CREATE INDEX activities_of_instance ON activities (instance_id);
CREATE TABLE timers (
    instance_id TEXT NOT NULL, execution_id TEXT NOT NULL, event_id INTEGER NOT NULL, fire_at TEXT NOT NULL,
    created TEXT NOT NULL, PRIMARY KEY (instance_id, execution_id, event_id)
) WITHOUT ROWID;
"""
"""All tables: instances, their history (one row an episode), and what is under way to or from them."""

MARK = f"INSERT INTO meta VALUES ('schema', '{SCHEMA_VERSION}');"  # noqa: S608 - a number of ours
"""Goes into one transaction with the tables: a file has both or none."""

TABLES = "SELECT count(*) FROM sqlite_master WHERE name = 'meta'"
GET_META = "SELECT value FROM meta WHERE key = ?"

_COLUMNS = (
    "instance_id, kind, execution_id, name, version, status, input, output, custom_status, created, updated, "
    "parent, continued, failure_details"
)

GET_INSTANCE = f"SELECT {_COLUMNS} FROM instances WHERE instance_id = ?"  # noqa: S608 - columns are ours
PUT_INSTANCE = f"INSERT OR REPLACE INTO instances ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
DELETE_INSTANCE = "DELETE FROM instances WHERE instance_id = ?"
ALL_INSTANCES = f"SELECT {_COLUMNS} FROM instances WHERE instance_id >= ?"  # noqa: S608
"""From an id on; conditions and order are appended by `Store.find`."""

GET_HISTORY = "SELECT events FROM history WHERE instance_id = ? ORDER BY episode"
ADD_EPISODE = "INSERT INTO history SELECT ?, coalesce(max(episode), 0) + 1, ? FROM history WHERE instance_id = ?"
DELETE_HISTORY = "DELETE FROM history WHERE instance_id = ?"

ADD_MESSAGE = "INSERT INTO messages (instance_id, execution_id, payload) VALUES (?, ?, ?)"
DELETE_MESSAGE = "DELETE FROM messages WHERE id = ?"
DELETE_MESSAGES = "DELETE FROM messages WHERE instance_id = ?"
ALL_MESSAGES = "SELECT id, instance_id, execution_id, payload FROM messages ORDER BY id"

ADD_ACTIVITY = "INSERT INTO activities (instance_id, execution_id, event_id, name, input) VALUES (?,?,?,?,?)"
DELETE_ACTIVITY = "DELETE FROM activities WHERE id = ?"
DELETE_ACTIVITIES = "DELETE FROM activities WHERE instance_id = ?"
ALL_ACTIVITIES = "SELECT id, instance_id, execution_id, event_id, name, input FROM activities ORDER BY id"

ADD_TIMER = "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?)"
DELETE_TIMER = "DELETE FROM timers WHERE instance_id = ? AND execution_id = ? AND event_id = ?"
DELETE_TIMERS = "DELETE FROM timers WHERE instance_id = ?"
ALL_TIMERS = "SELECT instance_id, execution_id, event_id, fire_at, created FROM timers"
