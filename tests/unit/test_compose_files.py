"""docker-compose.yml and deploy/compose.sentinel.yml: what an engine would only find out, or never."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose_check.load import Seen
from tests.compose_check.table import longest_silence_s
from tokentail.config.settings import load_settings
from tokentail.supervisor.programs import stop_within_s

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
BASE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SENTINEL = yaml.safe_load((ROOT / "deploy" / "compose.sentinel.yml").read_text())
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def filled(text: str) -> str:
    """A value as Compose would give it, where no variable is set; required ones get a key."""
    return _VARIABLE.sub(lambda found: "k" * 48 if found[2] == "?" else found[3] or "", text)


def environment(service: str) -> dict[str, str]:
    """What the containers of a service get, without the empty values, which count as not set."""
    variables = {name: filled(value) for name, value in BASE["services"][service]["environment"].items()}
    return {name: value for name, value in variables.items() if value}


@pytest.mark.parametrize("service", ["web", "worker"])
def test_the_settings_are_valid_and_docker_waits_longer_than_a_stop_takes(service: str) -> None:
    """Docker would kill a process that still lets jobs or streams end."""
    settings = load_settings(environment(service))
    grace_s = int(BASE["services"][service]["stop_grace_period"].removesuffix("s"))
    assert grace_s > stop_within_s(settings)


def test_an_update_has_new_workers_before_the_old_ones_stop() -> None:
    """Jobs would wait until new workers have started; and a broken image would leave none."""
    page = (ROOT / "docs" / "deployment.md").read_text().partition("**Upgrading.**")[2]
    commands = re.findall(r"docker compose (.*)", page.partition("```sh")[2].partition("```")[0])
    more, fewer = (int(re.findall(r"--scale worker=(\d+)", command)[0]) for command in commands[-2:])
    assert more == 2 * fewer
    assert {"--wait", "--no-recreate", "--no-deps"} <= set(commands[-2].split())
    assert "--no-recreate" not in commands[-1]
    assert "healthcheck" in BASE["services"]["worker"]


def test_only_workers_get_keys_of_providers() -> None:
    """A web process never calls a provider."""
    assert not [name for name in BASE["services"]["web"]["environment"] if re.match("OPENAI|ANTHROPIC|GEMINI", name)]


def nodes(kind: str) -> dict[str, str]:
    """Service → address, of the Sentinel file's services of that kind."""
    found = {name: service for name, service in SENTINEL["services"].items() if name.split("-")[0] == kind}
    return {name: filled(service["networks"]["default"]["ipv4_address"]) for name, service in found.items()}


def test_both_processes_ask_all_three_sentinels() -> None:
    """For both databases: no other address of a store is left in the base file's settings."""
    url = f"redis+sentinel://{','.join(nodes('sentinel').values())}/tokentail/0"
    for service in ("web", "worker"):
        assert filled(SENTINEL["services"][service]["environment"]["REDIS_URL"]) == url
        assert not {"TOKENTAIL_QUEUE_URL", "TOKENTAIL_BUFFER_URL"} & set(BASE["services"][service]["environment"])


def test_each_node_of_the_sentinel_file_has_an_address_and_a_volume_of_its_own() -> None:
    """Two on one address would not start, and two on one volume would spoil their files."""
    services: dict[str, Any] = SENTINEL["services"]
    addresses = nodes("valkey") | nodes("sentinel")
    assert len(addresses) == len(set(addresses.values())) == 6
    assert all(filled(services[name]["environment"]["SELF"]) == address for name, address in nodes("valkey").items())
    volumes = [services[name].get("volumes", BASE["services"].get(name, {}).get("volumes")) for name in addresses]
    assert sorted(volume for (volume,) in volumes) == sorted(f"{name}:/data" for name in addresses)
    assert {name for name in addresses if name != "valkey"} == set(SENTINEL["volumes"])


@pytest.mark.parametrize("service", ["web", "worker"])
def test_processes_stop_before_the_nodes_that_they_need(service: str) -> None:
    """Workers would drain into a store that is away."""
    before = set(BASE["services"][service]["depends_on"]) | set(SENTINEL["services"][service]["depends_on"])
    assert before == set(nodes("valkey") | nodes("sentinel"))


def test_the_sentinel_files_valkeys_keep_what_the_one_valkey_keeps() -> None:
    """Durable, and nothing is evicted."""
    options = set(re.findall(r"--[a-z-]+ \S+", filled(BASE["services"]["valkey"]["command"])))
    command = SENTINEL["services"]["valkey-2"]["command"][0].replace('"$$MAXMEMORY"', "1gb")
    assert options - set(re.findall(r"--[a-z-]+ \S+", command)) == set()


def test_the_longest_silence_is_within_one_answer() -> None:
    """The time between two answers is not a silence of the first one."""
    seen = Seen(arrivals=[(1.0, "a"), (1.5, "a"), (9.0, "b"), (9.1, "b"), (11.0, "b")])
    assert longest_silence_s(seen) == pytest.approx(1.9)
