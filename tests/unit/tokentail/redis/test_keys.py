"""The names of keys and channels stand in one file."""

import re
from collections.abc import Iterator
from pathlib import Path

import app
import tokentail
import worker
from tokentail.identifiers import new_job_id
from tokentail.redis import keys

_NAME = re.compile(rf"""\b{keys.PREFIX}[\w{{*]|["']{keys.PREFIX}["']|["']rq:[a-z]+:""")


def sources() -> Iterator[Path]:
    for package in (app, tokentail, worker):
        for folder in package.__path__:
            for suffix in ("py", "lua"):
                yield from Path(folder).rglob(f"*.{suffix}")


def test_no_other_file_spells_a_key_or_a_channel() -> None:
    """A name that stands in two files can be changed in one of them only."""
    spelling = {path for path in sources() if _NAME.search(path.read_text(encoding="utf-8"))}
    assert spelling == {Path(keys.__file__)}


def test_a_record_names_its_job_and_other_keys_name_none() -> None:
    """The sweep finds jobs by their records, among keys that other programs may have written."""
    job_id = new_job_id()
    assert keys.recorded_job(keys.record_of(job_id).encode()) == job_id
    assert [keys.recorded_job(key) for key in (b"", b"tt:{open}:job", b"tt:{\xff}:job")] == [None, None, None]
