"""The catalog: a request's model is a full name that some worker serves, or the error names what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.errors import InvalidRequest, NothingServed
from tokentail.jobs.models import ServedModel, demo_options, dialect_of, model_fault, resolve_model

LOCAL = ServedModel("local/smollm2-135m", "local", "openai_chat")
OPENAI = ServedModel("openai/*", "openai", "openai_chat")
DEMO = ServedModel("demo", "demo", "demo")
SERVED = [LOCAL, OPENAI, DEMO]


@pytest.mark.parametrize("name", ["local/smollm2-135m", "openai/gpt-5", "demo", "demo?tokens=5", "demo?tps=0&tokens=9"])
def test_a_name_that_is_served_stands(name: str) -> None:
    """By itself, by a prefix, or with the demo's options."""
    assert resolve_model(name, SERVED, "") == name


def test_who_names_none_gets_the_default() -> None:
    """The setting, or else the first one served."""
    assert resolve_model(None, SERVED, "demo?tps=0") == "demo?tps=0"
    assert resolve_model(None, SERVED, "") == "local/smollm2-135m"


@pytest.mark.parametrize(
    "name", ["gpt-5", "local/other", "openai", "openai/", "local/", "Demo", "demos", "anthropic/x"]
)
def test_a_name_that_nobody_serves_is_told_with_what_there_is(name: str) -> None:
    """A pattern is no name, nor is a prefix without one."""
    with pytest.raises(InvalidRequest) as refused:
        resolve_model(name, SERVED, "")
    (fault,) = refused.value.faults
    assert fault.field == "model"
    for model in SERVED:
        assert model.name in fault.message


GROQ = [ServedModel("groq/llama-3", "groq", "openai_chat"), ServedModel("groq/meta/x", "groq", "openai_chat")]


@pytest.mark.parametrize(
    ("name", "full"), [("local", "local/smollm2-135m"), ("demo", "demo"), ("groq", "groq/llama-3")]
)
def test_a_providers_bare_name_means_its_first_model(name: str, full: str) -> None:
    """In a request and as the default."""
    served = [OPENAI, DEMO, LOCAL, *GROQ]
    assert resolve_model(name, served, "") == full
    assert resolve_model(None, served, name) == full


@pytest.mark.parametrize("name", ["openai", "groq/meta", "groq/", "llama-3", "local "])
def test_a_bare_name_that_could_mean_anything_is_told(name: str) -> None:
    """A provider that takes any name has no first model, and a part of a model's name is no provider."""
    with pytest.raises(InvalidRequest, match="there is: openai"):
        resolve_model(name, [OPENAI, DEMO, LOCAL, *GROQ], "")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("lcoal", "local/smollm2-135m"),
        ("Local", "local/smollm2-135m"),
        ("local/", "local/smollm2-135m"),
        ("smollm2-135m", "local/smollm2-135m"),
        ("local/SmolLM2-135M", "local/smollm2-135m"),
        ("DEMO", "demo"),
        ("demos?tokens=5", "demo"),
        ("opnai/gpt-5", "openai/…"),
        ("OpenAI/gpt-5", "openai/…"),
        ("openai", "openai/…"),
    ],
)
def test_a_near_miss_is_told_with_what_was_probably_meant(name: str, nearest: str) -> None:
    """A letter too few, another case, a slash too many; the answer never repeats what was asked."""
    with pytest.raises(InvalidRequest, match=f"did you mean {nearest}[?]$"):
        resolve_model(name, SERVED, "")


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    """A list of what there is helps more than a wild guess."""
    assert "did you mean" not in model_fault("claude-opus", SERVED)


def test_no_default_is_no_fault() -> None:
    """Requests that name no model get the first one."""
    assert model_fault("", SERVED) == model_fault("local", SERVED) == model_fault("demo?tokens=5", SERVED) == ""
    assert "there is: local/smollm2-135m" in model_fault("gone", SERVED)


def test_a_pattern_is_answered_with_how_to_name_a_model() -> None:
    """What is listed cannot be asked for as it stands."""
    with pytest.raises(InvalidRequest, match="name one, such as openai/…"):
        resolve_model("openai/*", SERVED, "")


def test_a_default_that_nobody_serves_is_told() -> None:
    """A wrong default is the operator's mistake, but the request cannot run."""
    with pytest.raises(InvalidRequest):
        resolve_model(None, SERVED, "local/gone")


def test_a_pattern_alone_has_no_default() -> None:
    """There is no name to be made of `openai/*`."""
    with pytest.raises(InvalidRequest):
        resolve_model(None, [OPENAI], "")


def test_without_any_worker_ever_that_is_told() -> None:
    """Rather than that the name is wrong."""
    with pytest.raises(NothingServed):
        resolve_model("demo", [], "")


def test_the_demo_is_only_there_where_it_is_served() -> None:
    """The name `demo` is no privilege."""
    with pytest.raises(InvalidRequest, match="openai"):
        resolve_model("demo", [OPENAI], "")


def test_a_provider_may_have_a_name_that_begins_like_the_demos() -> None:
    """A provider's models are asked for like any other's, whatever is in their names."""
    served = [DEMO, ServedModel("demolab/*", "demolab", "ollama")]
    for model in ("demolab/llama", "demolab/llama?tokens=5"):
        assert resolve_model(model, served, "") == model
        assert dialect_of(model, served) == "ollama"
    assert dialect_of("demo?tokens=5", served) == "demo"


def test_the_demos_size_and_pace_are_in_its_name() -> None:
    """Both, one or neither; 0 tokens a second is as fast as possible."""
    assert demo_options("demo?tokens=200&tps=50") == {"tokens": 200, "tps": 50}
    assert demo_options("demo?tps=0")["tps"] == 0
    assert set(demo_options("demo")) == {"tokens", "tps"}
    assert demo_options("demo?reasoning=40") == {**demo_options("demo"), "reasoning": 40}


@pytest.mark.parametrize(
    "name",
    [
        "demo?x=1",
        "demo?tokens=-1",
        "demo?tokens=",
        "demo?tokens=1000001",
        "demo?tokens=1&",
        "demo?tokens=٣",
    ],
)
def test_options_that_cannot_be_are_told_with_how_to_write_them(name: str) -> None:
    """The example in the message can be copied."""
    with pytest.raises(InvalidRequest, match="tokens=200&tps=50"):
        resolve_model(name, SERVED, "")


@given(st.text(max_size=30) | st.text(max_size=20).map(lambda text: "demo?" + text))
def test_any_name_is_resolved_or_told(name: str) -> None:
    """Nothing else comes out."""
    try:
        resolved = resolve_model(name, SERVED, "demo")
    except InvalidRequest as error:
        resolved = error.faults[0].field
    assert resolved in {name, "demo", "local/smollm2-135m", "model"}
