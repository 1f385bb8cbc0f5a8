"""deploy/prometheus/ names metrics that there are, and Prometheus's own tool takes its rules and runs their tests."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import PROMTOOL
from tests.unit.test_operations import exposed

pytestmark = pytest.mark.checkout

_ROOT = Path(__file__).parents[2]
FOLDER = _ROOT / "deploy" / "prometheus"
_METRIC = re.compile(r"\b(tokentail_\w+|process_\w+)\b")
_OF_PROCESSES = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
_PARTS = ("_bucket", "_sum", "_count")


def rules() -> dict[str, str]:
    """Alert → expression."""
    found = re.findall(r"- alert: (\w+)\n +expr: (.+)", (FOLDER / "rules.yml").read_text())
    assert len(found) == (FOLDER / "rules.yml").read_text().count("alert:")
    return dict(found)


def board() -> Iterator[tuple[str, str]]:
    """Panel and expression."""
    for panel in json.loads((FOLDER / "grafana_board.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def named_in(expression: str) -> set[str]:
    """The metrics of an expression, a part of a histogram by the histogram's name."""
    histograms = {name for name, kind in exposed() if kind == "histogram"}
    found = set()
    for name in _METRIC.findall(expression):
        whole = next((name.removesuffix(part) for part in _PARTS if name.endswith(part)), name)
        found.add(whole if whole in histograms else name)
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [PROMTOOL.require(), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_rules_and_the_board_name_metrics_that_there_are() -> None:
    """A misspelt alert never fires, and a misspelt panel stays empty."""
    there_are = {name for name, _ in exposed()} | _OF_PROCESSES
    named = {expression: named_in(expression) for expression in (*rules().values(), *(e for _, e in board()))}
    wrong = {expression: names - there_are for expression, names in named.items() if not names <= there_are}
    assert not wrong
    assert all(names or "up{" in expression for expression, names in named.items())


def test_every_metric_of_ours_is_on_the_board() -> None:
    """Two sizes of commits, and the slots of one process, are left to those who look closer."""
    shown = set().union(*(named_in(expression) for _, expression in board()))
    left = {"tokentail_commit_elements", "tokentail_commit_jobs", "tokentail_worker_slots"}
    assert {name for name, _ in exposed()} - shown == left


def test_every_alert_of_the_documents_is_a_rule() -> None:
    """The conditions in docs/operations.md are the rules', and docs/monitoring.md says what to do at each rule."""
    table = (_ROOT / "docs" / "operations.md").read_text().partition("### Alerts")[2]
    told = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)[2:]
    conditions = [expression for row in told for expression in re.findall(r"`([^`]+)`", row)]
    assert conditions
    squeezed = [re.sub(r"\s", "", expression) for expression in rules().values()]
    bare = [re.sub(r"\s", "", each).replace("by(le)", "").replace("by(le,instance)", "") for each in squeezed]
    for condition in conditions:
        wanted = re.sub(r"\s", "", condition).replace("by(le)", "")
        assert any(wanted in rule for rule in bare), condition
    documented = re.findall(r"^\| `(Tokentail\w+)` \|", (_ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE)
    assert documented == list(rules())


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    """With the sample as it stands."""
    for arguments in (("check", "config", FOLDER / "prometheus.yml"), ("check", "rules", FOLDER / "rules.yml")):
        ran = promtool(*arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_ill_raises_its_own_alert_and_a_healthy_deployment_none() -> None:
    """By the rules' own tests, which have a case for each alert."""
    cases = re.findall(r"^  - name: (\w+)$", (FOLDER / "rules_test.yml").read_text(), re.MULTILINE)
    assert cases == list(rules())
    ran = promtool("test", "rules", FOLDER / "rules_test.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("alert", rules())
def test_the_rules_tests_notice_an_alert_that_never_fires(alert: str, tmp_path: Path) -> None:
    """A rule whose condition is never met fails its case."""
    shutil.copy(FOLDER / "rules_test.yml", tmp_path)
    text = (FOLDER / "rules.yml").read_text()
    expression = rules()[alert]
    (tmp_path / "rules.yml").write_text(text.replace(f"expr: {expression}\n", "expr: vector(1) > 2\n"))
    ran = promtool("test", "rules", tmp_path / "rules_test.yml")
    assert ran.returncode != 0
    assert alert in ran.stdout + ran.stderr


def test_prometheus_takes_every_expression_of_the_board(tmp_path: Path) -> None:
    """With Grafana's variables in place, as rules that record something."""
    lines = ["groups:", "  - name: board", "    rules:"]
    for n, (_, expression) in enumerate(board()):
        concrete = expression.replace("$__rate_interval", "5m").replace("$__range", "1h")
        lines += [f"      - record: panel:{n}", f"        expr: {concrete}"]
    (tmp_path / "board.yml").write_text("\n".join(lines) + "\n")
    ran = promtool("check", "rules", tmp_path / "board.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
