"""What models refuse: left out once, in the words of the provider, and remembered for that model alone."""

import json
from typing import Any

import pytest

from worker.upstream.provider import HttpCall
from worker.upstream.refusals import (
    Refusals,
    developer_as_system,
    in_turns,
    nearest_effort,
    renamed,
    without,
    without_sampling,
)

URL = "https://api.example/v1/chat/completions"


def call_of(**body: Any) -> HttpCall:
    return HttpCall(URL, {}, json.dumps({"model": "m", **body}).encode(), secrets=("k",))


def complaint(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


def body_of(call: HttpCall | None) -> dict[str, Any]:
    assert call is not None, "the call was not amended"
    body: dict[str, Any] = json.loads(call.body)
    del body["model"]
    return body


@pytest.mark.parametrize(
    "words",
    [
        complaint("Unsupported parameter: 'temperature' is not supported with this model.", param="temperature"),
        complaint("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) is."),
        complaint("`temperature` is deprecated for this model."),
        complaint("`temperature` may only be set to 1 when thinking is enabled."),
        b'{"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]}',
        b'{"message": "Argument not supported on this model: temperature"}',
        b"unknown field temperature",
        json.dumps(
            {
                "error": {
                    "message": "Provider returned error",
                    "metadata": {"raw": '{"message": "unknown: temperature"}'},
                }
            }
        ).encode(),
    ],
)
def test_a_wish_about_sampling_that_a_model_refuses_is_left_out(words: bytes) -> None:
    """Whatever the words of the provider are, the other options stay."""
    amended = Refusals(without_sampling()).amended(call_of(temperature=0.2, top_p=0.9, stop="x"), 400, words)
    assert body_of(amended) == {"top_p": 0.9, "stop": "x"}
    assert amended is not None
    assert amended.secrets == ("k",)


@pytest.mark.parametrize(
    "words",
    [
        complaint("temperature must be between 0 and 1"),
        complaint("Invalid value for 'temperature': expected a number below 2."),
        complaint("Unsupported parameter: 'stop' is not supported with this model."),
        b'{"detail": [{"loc": ["odd"], "msg": "Extra inputs are not permitted", "input": {"temperature": 1}}]}',
    ],
)
def test_a_wrong_value_is_no_refused_option(words: bytes) -> None:
    """A value out of bounds is the client's mistake, and an option that the provider only repeats is no cause."""
    assert Refusals(without_sampling()).amended(call_of(temperature=0.2, stop="x"), 400, words) is None


def test_of_two_options_that_exclude_each_other_one_stays() -> None:
    """Claude takes `temperature` or `top_p`."""
    words = complaint("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    assert body_of(Refusals(without_sampling()).amended(call_of(temperature=0.2, top_p=0.9), 400, words)) == {
        "temperature": 0.2
    }


def test_options_inside_an_object_are_found_in_their_spelling_there() -> None:
    """Gemini keeps them in `generationConfig`, in camel case."""
    words = complaint("top_p is not supported by this model")
    call = call_of(generationConfig={"topP": 0.5, "maxOutputTokens": 5})
    amended = Refusals(without_sampling("generationConfig")).amended(call, 400, words)
    assert body_of(amended) == {"generationConfig": {"maxOutputTokens": 5}}


@pytest.mark.parametrize(
    ("effort", "words", "instead"),
    [
        ("xhigh", "Unsupported value: 'xhigh'. Supported values are: 'minimal', 'low', 'medium', and 'high'.", "high"),
        ("max", "reasoning_effort: unknown variant `max`, expected one of `low`, `medium`, `high`, `xhigh`", "xhigh"),
        ("none", "reasoning_effort: Input should be 'low', 'medium' or 'high'", "low"),
        ("minimal", "reasoning_effort must be one of low, high", "low"),
        ("xhigh", "reasoning_effort 'xhigh' is not supported by this model", "high"),
        ("minimal", "The effort 'minimal' is not supported by this model", "low"),
        ("low", "Unrecognized request argument supplied: reasoning_effort", None),
    ],
)
def test_an_effort_that_a_model_lacks_becomes_the_nearest_that_it_has(
    effort: str, words: str, instead: str | None
) -> None:
    """By the provider's list; without one, the next effort; where the model knows none, none is asked for."""
    refusals = Refusals(nearest_effort("reasoning_effort"))
    body = body_of(refusals.amended(call_of(reasoning_effort=effort), 400, complaint(words, param="reasoning_effort")))
    assert body.get("reasoning_effort") == instead


def test_an_effort_that_the_model_has_is_asked_for_after_another_was_refused() -> None:
    """A refusal of one effort says nothing about the others."""
    refusals = Refusals(nearest_effort("reasoning", "effort"))
    words = complaint("Unsupported value: 'xhigh' is not supported with the 'm' model.", param="reasoning.effort")
    assert refusals.amended(call_of(reasoning={"effort": "xhigh"}), 400, words)
    assert body_of(refusals.heeded(call_of(reasoning={"effort": "xhigh"}))) == {"reasoning": {"effort": "high"}}
    assert body_of(refusals.heeded(call_of(reasoning={"effort": "low"}))) == {"reasoning": {"effort": "low"}}


def test_an_object_whose_only_option_was_refused_is_left_out_with_it() -> None:
    """An empty `reasoning` would be refused as well."""
    words = complaint("Unsupported parameter: 'reasoning.effort' is not supported with this model.")
    amended = Refusals(nearest_effort("reasoning", "effort")).amended(call_of(reasoning={"effort": "low"}), 400, words)
    assert body_of(amended) == {}


def test_what_a_model_refused_is_not_asked_of_it_again() -> None:
    """Several refusals add up; another model is asked for everything."""
    refusals = Refusals(renamed("max_tokens", "max_completion_tokens"), without_sampling(), without("stream_options"))
    asked = {"max_tokens": 5, "temperature": 0.1, "stream_options": {}}
    first = refusals.amended(call_of(**asked), 400, complaint("Use 'max_completion_tokens' instead."))
    assert first is not None
    assert refusals.amended(first, 400, complaint("'temperature' is not supported"))
    assert body_of(refusals.heeded(call_of(**asked))) == {"max_completion_tokens": 5, "stream_options": {}}
    other = HttpCall(URL, {}, json.dumps({"model": "other", **asked}).encode())
    assert refusals.heeded(other) is other


def test_the_memory_of_refusals_is_bounded() -> None:
    """Clients choose the names of models where a provider takes any."""
    refusals = Refusals(without("stream_options"))
    for number in range(700):
        call = HttpCall(URL, {}, json.dumps({"model": f"m{number}", "stream_options": {}}).encode())
        assert refusals.amended(call, 400, complaint("stream_options?"))
    first, last = (
        HttpCall(URL, {}, json.dumps({"model": name, "stream_options": {}}).encode()) for name in ("m0", "m699")
    )
    assert refusals.heeded(first) is first
    assert body_of(refusals.heeded(last)) == {}


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_only_a_refusal_of_the_request_is_amended(status: int) -> None:
    """Other statuses say nothing about what was asked."""
    assert Refusals(without_sampling()).amended(call_of(temperature=1), status, b"unknown: temperature") is None


def test_a_server_without_the_role_developer_gets_it_as_system() -> None:
    """`system` is the older name of `developer`."""
    turns = [{"role": "developer", "content": "a"}, {"role": "user", "content": "b"}]
    words = complaint("messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`")
    refusals = Refusals(developer_as_system("messages"))
    assert body_of(refusals.amended(call_of(messages=turns), 400, words))["messages"][0]["role"] == "system"
    assert body_of(refusals.heeded(call_of(messages=turns)))["messages"][0]["role"] == "system"


def test_what_a_server_does_not_take_back_of_an_answer_is_left_out() -> None:
    """A server that misses the same field is not asked without it."""
    turns = [{"role": "assistant", "content": "a", "reasoning_content": "plan"}]
    refusals = Refusals(in_turns("messages", ("reasoning_content",)))
    missing = complaint("The reasoning_content in the thinking mode must be passed back to the API.")
    assert refusals.amended(call_of(messages=turns), 400, missing) is None
    unknown = complaint("Unknown parameter: 'messages[0].reasoning_content'.")
    assert body_of(refusals.amended(call_of(messages=turns), 400, unknown))["messages"] == [
        {"role": "assistant", "content": "a"}
    ]


@pytest.mark.parametrize("words", [b"", b"null", b"[" * 5000, b'"temperature"', b"\xff\xfe", b'{"error": ["unknown"]}'])
def test_no_complaint_is_too_odd_to_be_read(words: bytes) -> None:
    """A complaint is another server's text."""
    everything = Refusals(without_sampling(), nearest_effort("reasoning_effort"), in_turns("messages", ("x",)))
    assert everything.amended(call_of(temperature=1, reasoning_effort="low", messages=[1]), 400, words) is None
