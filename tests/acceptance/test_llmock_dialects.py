"""Every dialect against llmock's copy of its provider, through real processes, with every fault that llmock has.

The table in docs/providers.md has what must become of a job in each case; here each case is made to happen.
"""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.llmock_rounds import (
    DIALECTS,
    KEY,
    LASTING,
    PASSING,
    PROMPT,
    Outcome,
    Round,
    cut_text,
    laid_table,
    providers_file,
    whole_text,
)
from tests.acceptance.running import TOKENTAIL, environment
from tests.integration.llmock_server import Mock, running_llmock

_DOCUMENT = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
# what llmock does | calls | status, `error` | generations | text
_ROW = re.compile(
    r"^\| ([^|]+) \| (\d) \| (completed|failed)(?:, `(\w+)`)? \| (\d) \| (whole|what came|none) \|$", re.M
)
_ROWS = {found[1]: found for found in _ROW.finditer(_DOCUMENT)}


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with running_llmock() as running:
        yield running


@pytest.fixture(scope="module")
def rounds(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> tuple[Round, Round, str]:
    """The faults that pass, those that last, and the log of all that."""
    with laid_table(tmp_path_factory.mktemp("providers"), mock) as table:
        return table.play(PASSING), table.play(LASTING), table.up.log


def outcome(rounds: tuple[Round, Round, str], dialect: str, what: str) -> Outcome:
    return (rounds[0].outcomes | rounds[1].outcomes)[dialect, what]


def test_the_table_tells_of_every_case() -> None:
    """No more and no less."""
    assert set(_ROWS) == {*PASSING, *LASTING}


@pytest.mark.parametrize("what", _ROWS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_job_ends_as_the_table_says(rounds: tuple[Round, Round, str], dialect: str, what: str) -> None:
    """Every dialect has the same calls, status, error, generations and remaining text."""
    _, calls, status, error, generations, kept = _ROWS[what].groups()
    seen = outcome(rounds, dialect, what)
    assert (seen.calls, seen.job["status"]) == (int(calls), status)
    assert (seen.job["error"] or {}).get("type") == error
    assert seen.generations == int(generations)
    assert seen.text == {"whole": whole_text(), "what came": cut_text(dialect), "none": ""}[kept]
    assert seen.job["attempts"] == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_whole_answer_has_its_reason_and_usage(rounds: tuple[Round, Round, str], dialect: str) -> None:
    """As the provider says them, also after another call."""
    for what in ("a whole answer", "`disconnect`, once", "529, once"):
        job = outcome(rounds, dialect, what).job
        assert job["finish_reason"] == "stop"
        assert job["provider_reason"]
        assert job["usage"]["input_tokens"] > 0
        assert job["usage"]["output_tokens"] >= 80


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failure_has_the_providers_status_and_word(rounds: tuple[Round, Round, str], dialect: str) -> None:
    """A failure holds the provider's own status and word, which the provider's support asks for."""
    for what, status in (("400", 400), ("401", 401), ("500, every time", 500), ("529, every time", 529)):
        error = outcome(rounds, dialect, what).job["error"]
        assert error["provider_status"] == status
        assert error["provider_code"]
        assert error.get("is_retryable", False) is (status >= 500)


def test_llmock_finds_no_fault_with_us(rounds: tuple[Round, Round, str]) -> None:
    """llmock reports neither an error nor a warning: waits as asked or growing, and no cut answer taken as whole."""
    verdict = rounds[0].verdict
    assert verdict["passed"], verdict
    assert verdict["findings"] == []
    assert verdict["faults_injected"] >= len(DIALECTS) * (len(PASSING) - 3)


def test_where_every_call_is_broken_llmock_cannot_see_what_we_made_of_the_last(
    rounds: tuple[Round, Round, str],
) -> None:
    """llmock counts each last call that it broke off as accepted; here the job has failed.

    What it says of the waits between calls does not count: it measures them, and a loaded machine stretches the first.
    """
    codes = Counter(finding["code"] for finding in rounds[1].verdict["findings"])
    codes.pop("no_backoff", None)
    assert codes == {"truncated_stream_accepted": len(DIALECTS), "malformed_chunk_ignored": len(DIALECTS)}


def test_neither_key_nor_prompt_is_told(rounds: tuple[Round, Round, str]) -> None:
    """In no log and in no error, whatever the provider did."""
    told = rounds[2] + json.dumps([seen.job for both in rounds[:2] for seen in both.outcomes.values()])
    assert "rate_limited" in told
    assert KEY not in told
    assert PROMPT not in told


def test_check_tries_each_provider_and_says_what_failed(mock: Mock, tmp_path: Path) -> None:
    """With a few tokens each, and the provider's own words; one that fails is exit code 1."""
    providers = providers_file(tmp_path, mock, 'models = ["tried"]')
    with providers.open("a") as file:
        file.write(f'[providers.denied]\ndialect = "openai_chat"\nbase_url = "{mock.url}/v1"\nmodels = ["denied"]\n')
        file.write('[providers.gone]\ndialect = "ollama"\nbase_url = "http://127.0.0.1:9"\nmodels = ["m"]\n')
    mock.will(type="fail", status=401, match={"model": "denied"})
    tried = subprocess.run(
        [TOKENTAIL, "check", "--providers", "--json"],
        env=environment(TOKENTAIL_PROVIDERS=str(providers), LLMOCK_KEY=KEY),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    reports = {report["name"]: report for report in map(json.loads, tried.stdout.splitlines())}
    assert tried.returncode == 1
    assert [name for name, report in reports.items() if report["is_ok"]] == list(DIALECTS)
    assert "refused the key" in reports["denied"]["detail"]
    assert "could not be reached" in reports["gone"]["detail"]
    assert KEY not in tried.stdout + tried.stderr
