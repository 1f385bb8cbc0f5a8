"""What a user's erasure leaves on disk: a real Valkey's folder is searched for the words, before and after."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http_harness import HttpHarness, assert_problem, json_of, open_harness
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire
from tokentail.redis.client import connect
from tokentail.supervisor.embedded_valkey import EmbeddedValkey

ANN = "ann-of-green-gables"
PROMPT, ANSWER, TITLE = "prompt-of-rosebud", "answer-of-rosebud", "title-of-rosebud"
WORDS = (ANN, PROMPT, ANSWER, TITLE)
REWRITE_S = 2.0


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[HttpHarness]:
    """A web process on an embedded Valkey whose data is in this folder."""
    valkey = EmbeddedValkey(tmp_path)
    valkey.start()
    eventually(valkey.is_ready, within_s=30)
    client = connect(valkey.url, timeout_s=5)
    environment = {"TOKENTAIL_ERASE_REWRITE_S": str(REWRITE_S)}
    backend = wire(client, client, load_settings(environment))
    harness = open_harness(backend, None, valkey.url, TOKENTAIL_ERASE_REWRITE_S=str(REWRITE_S))
    yield harness
    harness.close()
    client.close()
    valkey.stop()


def words_in(folder: Path) -> set[str]:
    """The words that any file in the folder has."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in files if path.exists()]
    return {word for word in WORDS if any(word.encode() in content for content in contents)}


def test_erased_words_leave_the_disk_within_the_time_that_is_set(
    deployment: HttpHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Readers find 410 at once, while the append-only file still has the words; after the time it has none of them."""
    caplog.set_level(logging.INFO)
    body = {"prompt": PROMPT, "user": ANN, "metadata": {"title": TITLE}}
    job_id = json_of(deployment.submit(body))["id"]
    deployment.worker.answer(job_id, ANSWER)
    others = json_of(deployment.submit({"prompt": "of another"}))["id"]
    eventually(lambda: words_in(tmp_path) == set(WORDS), what="all words are on disk")
    answer = deployment.client.delete(f"/v1/users/{ANN}")
    assert json_of(answer) == {"deleted": 1, "cancelled": 0, "done": True}
    assert_problem(deployment.get(f"/v1/jobs/{job_id}/text"), 410)
    assert words_in(tmp_path) == set(WORDS), "the old commands are still in the file"

    def is_rewritten() -> bool:
        deployment.backend.sweeper.sweep_in_turn()
        return not words_in(tmp_path)

    eventually(is_rewritten, within_s=30, what="the words have left the disk")
    assert_problem(deployment.get(f"/v1/jobs/{job_id}/text"), 410)
    assert json_of(deployment.get(f"/v1/jobs/{others}"))["status"] == "queued"

    def is_told() -> bool:
        deployment.backend.sweeper.sweep_in_turn()
        return "erasure.rewritten" in {record.message for record in caplog.records}

    eventually(is_told, within_s=30, what="the log tells")
    assert list(deployment.backend.store.client.scan_iter("tt:{erased}:*")) == []
