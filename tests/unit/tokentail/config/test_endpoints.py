"""Endpoints: the only addresses that a worker calls, from the environment and from a file."""

from pathlib import Path

import pytest

from tokentail.config.endpoints import Endpoint, key_variables, load_endpoints
from tokentail.config.settings import load_settings
from tokentail.errors import SettingsError
from tokentail.jobs.request import Timeouts

GROQ = """
[providers.groq]
dialect = "openai_chat"
base_url = "https://api.groq.com/openai/v1"
api_key_env = "GROQ_KEY"
models = ["llama-3.3-70b", "other"]
"""


def load(environment: dict[str, str]) -> list[Endpoint]:
    return load_endpoints(load_settings(environment), environment)


def faults(path: Path, text: str, **environment: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load({"TOKENTAIL_PROVIDERS": str(path), **environment})
    return refused.value.faults


def test_nothing_configured_is_no_endpoint() -> None:
    """No address is called that nobody named."""
    assert load({}) == []


def test_the_well_known_variables_are_endpoints() -> None:
    """Each provider's own variable, with its own address."""
    found = load({"OPENAI_API_KEY": "k1", "ANTHROPIC_API_KEY": "k2", "GEMINI_API_KEY": "k3", "OLLAMA_HOST": "0.0.0.0"})
    assert [(e.name, e.dialect, e.api_key) for e in found] == [
        ("openai", "openai_chat", "k1"),
        ("anthropic", "anthropic", "k2"),
        ("gemini", "gemini", "k3"),
        ("ollama", "ollama", ""),
    ]
    assert found[0].base_url == "https://api.openai.com/v1"
    assert found[3].base_url == "http://127.0.0.1:11434"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("box:8080", "http://box:8080"),
        ("https://box", "https://box:443"),
        ("[::1]:11434", "http://[::1]:11434"),
        ("http://10.0.0.1:1", "http://10.0.0.1:1"),
    ],
)
def test_ollamas_own_variable_is_understood(host: str, url: str) -> None:
    """With or without scheme and port."""
    assert load({"OLLAMA_HOST": host})[0].base_url == url


def test_a_file_names_endpoints_before_the_well_known_ones(tmp_path: Path) -> None:
    """A provider's key comes from the variable that its entry names, and shows nowhere."""
    path = tmp_path / "providers.toml"
    path.write_text(GROQ)
    environment = {
        "TOKENTAIL_PROVIDERS": str(path),
        "GROQ_KEY": "secret-key",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    }
    groq, openai = load(environment)
    assert (groq.name, groq.api_key, groq.models) == ("groq", "secret-key", ("llama-3.3-70b", "other"))
    assert openai.name == "openai"
    assert "secret-key" not in repr(groq)
    assert key_variables(load_settings(environment)) == {"GROQ_KEY"}


@pytest.mark.parametrize(
    ("line", "needs_reason"),
    [("", True), ('end_without_reason = "failed"', True), ('end_without_reason = "completed"', False)],
)
def test_a_provider_may_end_its_answers_without_a_reason(tmp_path: Path, line: str, needs_reason: bool) -> None:
    """Where the file says so, and nowhere else."""
    path = tmp_path / "providers.toml"
    path.write_text(f'[providers.gateway]\ndialect = "openai_chat"\nbase_url = "http://x/v1"\n{line}\n')
    (gateway,) = load({"TOKENTAIL_PROVIDERS": str(path)})
    assert gateway.needs_reason is needs_reason


def test_a_file_may_say_otherwise_about_a_well_known_name(tmp_path: Path) -> None:
    """A file with `[providers.openai]` means that provider."""
    path = tmp_path / "providers.toml"
    path.write_text('[providers.openai]\ndialect = "openai_chat"\nbase_url = "http://127.0.0.1:9/v1"\n')
    (found,) = load({"TOKENTAIL_PROVIDERS": str(path), "OPENAI_API_KEY": "k"})
    assert found.base_url == "http://127.0.0.1:9/v1"


def test_every_fault_of_a_file_is_told(tmp_path: Path) -> None:
    """Not just the first."""
    told = faults(
        tmp_path / "p.toml",
        """
[providers.Bad]
dialect = "morse"
base_url = "ftp://x"
api_key_env = "NOT_SET"
background = true
[providers.odd]
dialect = "openai_chat"
base_url = "http://x/v1"
colour = "blue"
""",
    )
    text = "\n".join(told)
    for words in ("Bad: the name", "dialect", "base_url", "NOT_SET", "background", "colour"):
        assert words in text


@pytest.mark.parametrize(
    "text", ["not toml [", "x = 1", "providers = 1", '[providers.x]\ndialect = 1\nbase_url = ""\n']
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, text: str) -> None:
    """With its name."""
    assert all("p.toml" in fault for fault in faults(tmp_path / "p.toml", text))


def test_a_file_that_is_not_there_is_told() -> None:
    """With the variable that named it."""
    with pytest.raises(SettingsError, match="TOKENTAIL_PROVIDERS"):
        load({"TOKENTAIL_PROVIDERS": "/nowhere/p.toml"})


AZURE = """
[providers.azure]
dialect = "openai_chat"
base_url = "https://r.example/openai/v1?api-version=preview"
headers = {"api-key" = "${AZURE_KEY}", "X-Team" = "blue ${TEAM} team"}
query = {"code" = "${CODE}", "region" = "eu"}
"""


def test_a_file_gives_a_provider_headers_and_parameters_of_the_deployment_s_own(tmp_path: Path) -> None:
    """Variables' values stand for their names, are known to be secrets, and show nowhere."""
    path = tmp_path / "p.toml"
    path.write_text(AZURE)
    environment = {"TOKENTAIL_PROVIDERS": str(path), "AZURE_KEY": "secret-1", "TEAM": "t", "CODE": "secret-2"}
    (azure,) = load(environment)
    assert azure.additions.headers == {"api-key": "secret-1", "X-Team": "blue t team"}
    assert azure.additions.query == {"code": "secret-2", "region": "eu"}
    assert {"secret-1", "secret-2", "t"} <= set(azure.additions.secrets)
    assert "eu" not in azure.additions.secrets
    assert "secret" not in repr(azure)
    assert key_variables(load_settings(environment)) == {"AZURE_KEY", "TEAM", "CODE"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('headers = {"a b" = "x"}', "cannot be a header's name"),
        ('headers = {"Content-Length" = "1"}', "set by the worker"),
        ('headers = {"content-type" = "x"}', "set by the worker"),
        ('headers = {"x" = "a\\nb: secret-value"}', "cannot carry"),
        ('headers = {"x" = "é"}', "cannot carry"),
        ('headers = {"x" = ""}', "is empty"),
        ('headers = {"x" = "${NOWHERE}"}', "NOWHERE is not set"),
        ('headers = {"x" = "${NO-VARIABLE}"}', "without the name of a variable"),
        ('headers = {"x" = 1}', "Expected `str`"),
        ('headers = ["x"]', "Expected `object`"),
        ('headers = {"X-A" = "1", "x-a" = "2"}', "named twice"),
        ('query = {"" = "x"}', "has no name"),
        ('query = {"a" = "${NOWHERE}"}', "NOWHERE is not set"),
        ('query = {"a" = true}', "Expected `str`"),
        ('models = "m"', "Expected `array`"),
        ('models = ["m", "m"]', "m is named twice"),
        ("models = [1]", "Expected `str`"),
        ('api_key_env = ["K"]', "Expected `str`"),
        ('background = "yes"', "Expected `bool`"),
        ('end_without_reason = "stop"', "Invalid enum value"),
        ('api_key = "sk-1"', "did you mean api_key_env?"),
        ('colour = "blue"', "is no option"),
    ],
)
def test_a_wrong_line_of_a_file_is_told_by_its_option(tmp_path: Path, line: str, words: str) -> None:
    """With what is wrong, and without the value, which may be a secret."""
    text = f'[providers.x]\ndialect = "openai_chat"\nbase_url = "http://x/v1"\n{line}\n'
    (told,) = faults(tmp_path / "p.toml", text)
    assert f"providers.x: {line.partition(' = ')[0]}" in told
    assert words in told
    assert "secret-value" not in told
    assert "sk-1" not in told


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://x/v1?api-version=1", True),
        ("https://x/v1#top", False),
        ("https://x:port/v1", False),
        ("x/v1", False),
        ("https://[::1", False),
    ],
)
def test_an_address_may_have_a_query(tmp_path: Path, url: str, is_good: bool) -> None:
    """The parameters stand behind the path of each call; a fragment is never sent, and is refused."""
    text = f'[providers.x]\ndialect = "gemini"\nbase_url = "{url}"\n'
    if is_good:
        (tmp_path / "p.toml").write_text(text)
        assert load({"TOKENTAIL_PROVIDERS": str(tmp_path / "p.toml")})[0].base_url == url
    else:
        assert "base_url" in faults(tmp_path / "p.toml", text)[0]


@pytest.mark.parametrize(
    "text",
    [
        '[providers.x]\ndialect = "gemini"\n[providers.x]\n',
        '[providers.x]\ndialect = "gemini"\ndialect = "ollama"\n',
        "a = " + "[" * 5000,
        "[providers]\nx = 1\n",
        '[providers.x]\nbase_url = "http://x"\n[other]\n',
        "[[providers]]\n",
        "\ufeff[providers.x]\n",
    ],
)
def test_a_file_with_a_wrong_form_is_told(tmp_path: Path, text: str) -> None:
    """Names that come twice, tables that are not known, values in the place of tables."""
    assert all("p.toml" in fault for fault in faults(tmp_path / "p.toml", text))


def test_several_faults_of_one_provider_are_told_together(tmp_path: Path) -> None:
    """Each with its option, those of wrong types and of unknown names as well."""
    told = "\n".join(faults(tmp_path / "p.toml", '[providers.x]\ndialekt = "gemini"\nmodels = 1\n'))
    for words in ("dialect: is missing", "base_url: is missing", "dialekt: ", "did you mean dialect?", "models: "):
        assert words in told


def test_deadlines_are_set_for_a_provider_and_for_one_of_its_models(tmp_path: Path) -> None:
    """What a model leaves out is its provider's; what a provider leaves out is the deployment's."""
    path = tmp_path / "providers.toml"
    path.write_text(GROQ + 'timeouts = {content_s = 1800, idle_s = 90}\nmodel_timeouts."other" = {content_s = 3000}\n')
    (groq,) = load({"TOKENTAIL_PROVIDERS": str(path), "GROQ_KEY": "k"})
    assert groq.timeouts_of("llama-3.3-70b") == Timeouts(content_s=1800, idle_s=90)
    assert groq.timeouts_of("other") == Timeouts(content_s=3000, idle_s=90)


@pytest.mark.parametrize(
    "lines", ["timeouts = {idle = 9}", "timeouts = {idle_s = 0}", 'model_timeouts."x" = {}', "model_timeouts = 3"]
)
def test_wrong_deadlines_are_told(tmp_path: Path, lines: str) -> None:
    """A misspelt deadline would leave a model to be killed while it thinks."""
    (fault,) = faults(tmp_path / "providers.toml", GROQ + lines + "\n", GROQ_KEY="k")
    assert "timeouts" in fault
