"""The follower delivers each update once and in order, whatever the transport and its failures."""

import json
from typing import Any

import pytest
import requests

from tests.unit.tokentail.client.fake_server import (
    CUT,
    EVENT_STREAM,
    HEARTBEAT,
    LOST,
    OPENING,
    SILENCE,
    Answer,
    event,
    make_client,
    mute_stream,
    poll,
    poll_body,
    stream,
)
from tokentail.client import ApiError, Choice, ServerUnreachable, Update

END = event(cursor="g.9", done=True)
POLLED_END = poll(cursor="g.9", done=True)


def joined(updates: list[Update]) -> str:
    text = ""
    for update in updates:
        text = update.applied_to(text)
    return text


def transports(updates: list[Update]) -> list[str]:
    return [update.transport for update in updates]


def test_one_stream_is_enough_where_streams_come_through() -> None:
    """One request brings every event as an update, and the connection returns to the pool."""
    client, server, moment = make_client([stream(event("a", cursor="g.2"), HEARTBEAT, event("b", cursor="g.3"), END)])
    updates = list(client.follow("j1"))
    assert joined(updates) == "ab"
    assert transports(updates) == ["sse"] * 3
    assert server.paths() == ["stream"]
    assert not moment.pauses
    assert server.open_streams == 0


def test_events_split_anywhere_are_the_same() -> None:
    """A stream may be cut into pieces anywhere."""
    whole = event("Grüße", cursor="g.2") + END
    client, _, _ = make_client([stream(*(whole[i : i + 1] for i in range(len(whole))))])
    assert joined(list(client.follow("j1"))) == "Grüße"


def test_a_stream_that_is_cut_goes_on_at_its_cursor() -> None:
    """An incomplete event is not delivered, and the events before it are not requested again."""
    half = event("b", cursor="g.3")[:-5]
    client, server, moment = make_client(
        [stream(event("a", cursor="g.2"), half, CUT), stream(event("b", cursor="g.3"), END)]
    )
    assert joined(list(client.follow("j1"))) == "ab"
    assert server.paths() == ["stream", "stream"]
    assert server.cursors() == ["0", "g.2"]
    assert sum(moment.pauses) <= 0.5


def test_a_stream_that_ends_before_its_job_goes_on_at_its_cursor() -> None:
    """After a server's stop the follower continues its stream at another server."""
    client, server, _ = make_client([stream(event("a", cursor="g.2")), stream(END)])
    assert joined(list(client.follow("j1"))) == "a"
    assert server.cursors() == ["0", "g.2"]


def test_cuts_every_few_events_do_not_end_streaming() -> None:
    """While each stream brings an update before its cut, streams are reopened."""
    parts = [stream(event(str(n), cursor=f"g.{n + 2}"), CUT) for n in range(9)]
    client, server, _ = make_client([*parts, stream(END)])
    assert joined(list(client.follow("j1"))) == "012345678"
    assert set(server.paths()) == {"stream"}


@pytest.mark.parametrize("mute", [mute_stream(), Answer(error=requests.exceptions.ReadTimeout())])
def test_a_mute_stream_gives_way_to_long_polls(mute: Answer) -> None:
    """A proxy buffers the whole response: after a second without a byte the follower polls."""
    client, server, moment = make_client([mute, poll("a", cursor="g.2"), POLLED_END])
    updates = list(client.follow("j1"))
    assert joined(updates) == "a"
    assert transports(updates) == ["long", "long"]
    assert server.paths() == ["stream", "tokens", "tokens"]
    assert server.timeouts[0][1] == 1
    assert sum(moment.pauses) == 0


def test_a_quiet_stream_is_not_a_mute_one() -> None:
    """A stream whose first event arrived in time is reopened after a silence, with a longer limit."""
    client, server, moment = make_client([stream(SILENCE), stream(HEARTBEAT, event("a", cursor="g.2"), END)])
    assert transports(list(client.follow("j1"))) == ["sse", "sse"]
    assert [timeout for _, timeout in server.timeouts] == [1, 12]
    assert not moment.pauses


def test_a_stream_that_falls_silent_between_heartbeats_is_left() -> None:
    """A proxy that passes the first event and then buffers makes the follower poll."""
    silent = stream(event("a", cursor="g.2"), SILENCE)
    client, server, _ = make_client([silent, stream(event("b", cursor="g.3"), SILENCE), POLLED_END])
    assert joined(list(client.follow("j1"))) == "ab"
    assert server.paths() == ["stream", "stream", "tokens"]
    assert server.cursors() == ["0", "g.2", "g.3"]


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(b"<html>No streams here</html>", status=403),
        Answer(status=404),
        Answer(status=406),
        Answer(b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
        Answer(b"", status=204),
        stream(b"data: <html>\n\n"),
    ],
)
def test_a_refused_stream_gives_way_to_long_polls(refusal: Answer) -> None:
    """The follower polls when something else than a stream is returned."""
    client, server, moment = make_client([refusal, poll("a", cursor="g.2"), POLLED_END])
    assert transports(list(client.follow("j1"))) == ["long", "long"]
    assert server.paths() == ["stream", "tokens", "tokens"]
    assert sum(moment.pauses) == 0


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_job_that_is_refused_is_an_error(status: int) -> None:
    """After a refused stream a poll shows whether the job was refused."""
    client, server, _ = make_client([Answer({"title": "No"}, status=status)])
    with pytest.raises(ApiError) as caught:
        list(client.follow("j1"))
    assert caught.value.status == status
    assert server.paths() == ["stream", "tokens"]


@pytest.mark.parametrize("failure", [Answer(error=LOST), Answer(status=502), stream(CUT), stream()])
def test_two_streams_in_a_row_that_tell_nothing_give_way_to_polls(failure: Answer) -> None:
    """Streams are abandoned only after two failures in a row."""
    again = Answer(**vars(failure))
    client, server, moment = make_client([failure, again, poll("a", cursor="g.2"), POLLED_END])
    assert joined(list(client.follow("j1"))) == "a"
    assert server.paths() == ["stream", "stream", "tokens", "tokens"]
    assert len([pause for pause in moment.pauses if pause]) == 2


def test_streams_are_tried_again_later_and_later() -> None:
    """Streams are tried again, because networks change, but ever more rarely, because each vain try takes seconds."""
    slow = [poll(str(n % 10), cursor=f"g.{n + 2}") for n in range(12)]
    for answer in slow:
        answer.takes_s = 20
    client, server, _ = make_client([mute_stream(), *slow[:2], mute_stream(), *slow[2:5], stream(END)])
    list(client.follow("j1"))
    assert server.paths() == ["stream", "tokens", "tokens", "stream", "tokens", "tokens", "tokens", "stream"]


def test_what_was_learned_of_the_way_holds_for_the_next_job() -> None:
    """Behind a proxy that buffers, only the first job is late."""
    client, server, _ = make_client([mute_stream(), POLLED_END])
    list(client.follow("j1"))
    list(client.follow("j2"))
    assert server.paths() == ["stream", "tokens", "tokens"]


def test_retry_after_of_a_refused_stream_is_honoured() -> None:
    """The pause after a refused stream is the Retry-After of a server with too many readers."""
    client, _, moment = make_client([Answer(status=429, headers={"Retry-After": "7"}), stream(END)])
    list(client.follow("j1"))
    assert moment.pauses == [7.0]


def test_waiting_polls_that_are_cut_become_short_ones() -> None:
    """Short polls obey the server's advice when no request may wait even a second."""
    cuts = [Answer(error=LOST, takes_s=1.1) for _ in range(4)]
    client, server, moment = make_client(
        [mute_stream(), *cuts, poll("a", cursor="g.2", after_ms=300), POLLED_END], patience_s=100
    )
    updates = list(client.follow("j1"))
    assert transports(updates) == ["short", "short"]
    assert [query.get("wait") for query in server.queries()[1:]] == [["20"], ["10"], ["5"], ["2.5"], None, None]
    assert 0.3 in moment.pauses


def test_a_reset_is_told_by_a_stream() -> None:
    """A reset update tells to discard the text before it."""
    client, _, _ = make_client([stream(event("old", cursor="g.2"), event("new", cursor="h.2", reset=True, done=True))])
    assert joined(list(client.follow("j1"))) == "new"


def test_events_come_over_every_transport() -> None:
    """With `events` an update has events in the order of the log; its tokens are the strings among them."""
    body: dict[str, Any] = poll_body(cursor="g.2")
    del body["tokens"]
    body["events"] = [{"type": "reasoning", "text": "hm"}, "a"]
    streamed = f"data: {json.dumps(body)}\n\n".encode()
    client, server, _ = make_client([stream(streamed), stream(), stream(), Answer(body), POLLED_END])
    first, second, _ = client.follow("j1", events=True)
    assert first.events == second.events == ({"type": "reasoning", "text": "hm"}, "a")
    assert first.text == "a"
    assert server.queries()[0]["events"] == ["1"]
    assert server.paths()[3] == "events"


@pytest.mark.parametrize("transport", ["sse", "long", "short"])
def test_linger_is_asked_for_over_every_transport(transport: Choice) -> None:
    """`linger_ms` is sent with streams and polls."""
    client, server, _ = make_client([stream(END) if transport == "sse" else POLLED_END])
    list(client.follow("j1", transport=transport, linger_ms=200))
    assert server.queries()[0]["linger_ms"] == ["200"]


def test_each_long_poll_has_an_address_of_its_own() -> None:
    """A random parameter tells equal long polls apart, which proxies would let wait for each other."""
    client, server, _ = make_client([poll(cursor="g.1"), poll(cursor="g.1"), POLLED_END])
    list(client.follow("j1", "g.1", transport="long"))
    assert len({query["rnd"][0] for query in server.queries()}) == 3
    client, server, _ = make_client([POLLED_END])
    list(client.follow("j1", transport="short"))
    assert "rnd" not in server.queries()[0]


def test_who_wants_streams_alone_gets_no_polls() -> None:
    """With `sse` alone a mute stream is an error once the patience ends."""
    client, server, _ = make_client([mute_stream()], patience_s=60)
    with pytest.raises(ServerUnreachable):
        list(client.follow("j1", transport="sse"))
    assert set(server.paths()) == {"stream"}
    assert {timeout for _, timeout in server.timeouts} == {12}


def test_who_wants_streams_alone_is_told_of_a_refusal() -> None:
    """With `sse` alone a refused stream is an error at once, without retries."""
    client, server, _ = make_client([Answer({"title": "Gone"}, status=410)])
    with pytest.raises(ApiError, match="Gone"):
        list(client.follow("j1", transport="sse"))
    assert len(server.requests) == 1


def test_patience_begins_anew_after_each_stream_that_spoke() -> None:
    """Any number of temporary failures is survived if something arrives between them."""
    answers = [Answer(status=503, headers={"Retry-After": "50"}), stream(HEARTBEAT)] * 5
    client, server, _ = make_client([*answers, stream(END)], patience_s=60)
    list(client.follow("j1", transport="sse"))
    assert len(server.requests) == 11


def test_polls_that_are_lost_now_and_then_go_on_waiting() -> None:
    """Only polls lost in a row make the wait shorter."""
    now_and_then = [Answer(error=LOST), poll(cursor="g.2")] * 8
    client, server, _ = make_client([mute_stream(), *now_and_then, POLLED_END])
    list(client.follow("j1"))
    assert {query["wait"][0] for query in server.queries()[1:]} == {"20"}


def test_a_stream_is_asked_for_uncompressed() -> None:
    """The follower asks for an uncompressed stream, because a proxy that compresses it buffers it."""
    client, server, _ = make_client([stream(END)])
    list(client.follow("j1"))
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_patience_with_a_server_that_is_away_ends() -> None:
    """A stream that always ends without an update is an error, not an endless loop."""
    client, _, moment = make_client([Answer(error=LOST)], patience_s=60)
    with pytest.raises(ServerUnreachable):
        list(client.follow("j1"))
    assert 50 < moment.now < 70


def test_a_follower_that_is_left_closes_its_stream() -> None:
    """A caller that stops to iterate releases the connection."""
    client, server, _ = make_client([stream(event("a", cursor="g.2"), event("b", cursor="g.3"))])
    updates = client.follow("j1")
    assert next(updates).text == "a"
    assert server.open_streams == 1
    updates.close()  # type: ignore[attr-defined]
    assert server.open_streams == 0


def test_a_transport_that_is_none_is_refused_at_once() -> None:
    """An unknown transport is an error of the call itself, not of the first update."""
    client, _, _ = make_client([POLLED_END])
    with pytest.raises(ValueError, match="auto, sse, long, short"):
        client.follow("j1", transport="websocket")  # type: ignore[arg-type]


def test_the_event_that_grows_without_end_is_no_stream() -> None:
    """An event beyond the limit ends the stream, and polls bring the rest."""
    client, server, _ = make_client(
        [Answer(headers=EVENT_STREAM, parts=[OPENING, *[b"data: " + b"x" * (1 << 20)] * 9]), POLLED_END]
    )
    list(client.follow("j1"))
    assert server.paths() == ["stream", "tokens"]


@pytest.mark.parametrize("transport", ["auto", "sse", "long", "short"])
@pytest.mark.parametrize(
    "page",
    [Answer(b"<html>Log in</html>"), Answer(b"", status=302), Answer(b"no", status=401), Answer(b"", status=500)],
)
def test_a_job_goes_on_when_something_in_the_way_is_gone(transport: Choice, page: Answer) -> None:
    """A login page, a firewall or a proxy whose server restarts is an outage: the follower resumes at its cursor."""
    end = stream(END) if transport == "sse" else POLLED_END
    first = stream(event("a", cursor="g.2")) if transport in {"auto", "sse"} else poll("a", cursor="g.2")
    client, server, _ = make_client([first, *(Answer(**vars(page)) for _ in range(3)), end])
    assert joined(list(client.follow("j1", transport=transport))) == "a"
    assert server.cursors() == ["0", *["g.2"] * 4]


@pytest.mark.parametrize("transport", ["auto", "sse", "long", "short"])
def test_what_stays_in_the_way_is_told_when_the_patience_ends(transport: Choice) -> None:
    """The error names the status and that it is not the server's."""
    client, _, moment = make_client([Answer(b"<html>Log in</html>", status=403)], patience_s=30)
    with pytest.raises(ApiError, match="HTTP 403 from something on the way, not from a Tokentail server"):
        list(client.follow("j1", transport=transport))
    assert 20 < moment.now < 31
