"""The messages between Blender and the engine: exact on the wire, and unimpressed by damage."""

from __future__ import annotations

import dataclasses
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import messages
from engine.messages import (
    MAX_LINE,
    Cancel,
    DeviceInfo,
    Event,
    Failure,
    Generate,
    Hello,
    Progress,
    ProtocolError,
    Request,
    Result,
    decode_event,
    decode_request,
    encode,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=30)
weights = st.dictionaries(texts, finite, max_size=4)
devices = st.builds(DeviceInfo, texts, texts, st.booleans(), texts)
requests = st.one_of(
    st.builds(messages.HelloRequest, st.integers()),
    st.builds(
        Generate, texts, texts, texts, texts, weights, finite, st.integers(), st.none() | st.integers(), texts,
        st.none() | finite, st.none() | finite, st.booleans(), st.booleans(),
    ),
    st.builds(messages.Check, texts, texts, texts, texts, texts),
    st.builds(messages.Track, texts, texts, texts, st.none() | texts),
    st.builds(Cancel, texts),
    st.just(messages.Shutdown()),
)  # fmt: skip
events = st.one_of(
    st.builds(Hello, st.integers(), texts, texts, st.lists(devices, max_size=3), texts, st.lists(texts, max_size=3)),
    st.just(messages.Alive()),
    st.builds(Progress, texts, texts, st.integers(), st.integers(), finite, st.none() | finite),
    st.builds(Result, texts, texts, weights),
    st.builds(Failure, st.none() | texts, texts, texts, texts),
    st.builds(messages.Cancelled, texts),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(requests)
def test_a_request_survives_the_wire(request):
    assert decode_request(encode(request)) == request


@given(events)
def test_an_event_survives_the_wire(event):
    line = encode(event)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and line.isascii()
    assert decode_event(line) == event


@given(st.binary(max_size=300))
def test_noise_is_a_protocol_error_and_nothing_else(noise):
    for decode in (decode_request, decode_event):
        with pytest.raises(ProtocolError):
            decode(noise)


@given(
    st.sampled_from([*messages.REQUESTS, *messages.EVENTS, "other"]),
    st.dictionaries(
        st.sampled_from(["id", "audio", "out", "emotion", "devices", "seconds", "step", "seed", "protocol", "code"]),
        json_values,
    ),
)
def test_json_of_any_content_is_a_message_or_a_protocol_error(word, content):
    line = json.dumps({**content, "type": word}).encode()
    for decode, union in ((decode_request, Request), (decode_event, Event)):
        try:
            assert isinstance(decode(line), get_args(union))
        except ProtocolError as error:
            assert str(error).endswith(".") and len(str(error)) < 200


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"[" * 100_000, "not JSON"),
        (b'{"type": "cancel"', "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"type": "sing"}', "no message of the type 'sing'"),
        (b'{"type": "cancel"}', "'cancel.id' is missing"),
        (b'{"type": "cancel", "id": 7}', "'cancel.id' has a value of the wrong type (int)"),
        (b'{"type": "generate", "id": "a", "audio": "b", "out": "c", "intensity": NaN}', "not a finite number"),
        (b'{"type": "generate", "id": "a", "audio": "b", "out": "c", "intensity": 1e999}', "not a finite number"),
        (b'{"type": "generate", "id": "a", "audio": "b", "out": "c", "seed": true}', "wrong type (bool)"),
        (b'{"type": "generate", "id": "a", "audio": "b", "out": "c", "emotion": {"happy": "so"}}', "wrong type (str)"),
        (b'{"type": "hello", "protocol": ' + b"9" * 5000 + b"}", "not JSON"),
        (b" " * (MAX_LINE + 1), "longer than"),
    ],
)
def test_each_kind_of_damage_is_named(line, said):
    with pytest.raises(ProtocolError) as caught:
        decode_request(line)
    assert said in str(caught.value)


def test_fields_of_a_newer_version_are_ignored_and_missing_ones_have_their_defaults():
    request = decode_request(b'{"type": "generate", "id": "a", "audio": "b", "out": "c", "wind": 3, "intensity": 1}')
    assert request == Generate("a", "b", "c")
    assert isinstance(request.intensity, float)


def test_file_names_that_are_not_utf8_survive():
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    assert decode_request(encode(Generate("a", name, "c"))).audio == name


def test_what_cannot_be_sent_is_refused_before_it_is_sent():
    with pytest.raises(ProtocolError, match="not finite"):
        encode(Generate("a", "b", "c", intensity=float("nan")))
    with pytest.raises(ProtocolError, match="bytes long"):
        encode(Failure(None, "internal", "x" * MAX_LINE))


def test_every_message_has_a_word_of_its_own():
    assert set(messages.REQUESTS.values()) == set(get_args(Request))
    assert set(messages.EVENTS.values()) == set(get_args(Event))
    for cls in (*messages.REQUESTS.values(), *messages.EVENTS.values()):
        assert dataclasses.is_dataclass(cls) and "type" not in {f.name for f in dataclasses.fields(cls)}
