"""What the API's answers mean: pure reading, with all that a foreign server may write."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_widgets.core import answers
from qwen_widgets.core.answers import (
    DEFAULT_RETRY,
    LONGEST_RETRY,
    BadAnswerError,
    Prediction,
    check_prediction_id,
    error_text,
    integer,
    read_envelope,
    read_http_date,
    read_json,
    read_prediction,
    read_retry_after,
    read_time,
    refusal,
)
from qwen_widgets.core.errors import (
    KeyRefusedError,
    ModeratedError,
    NoCreditError,
    NotTakenError,
    PredictionFailedError,
    QwenError,
    RateLimitedError,
    RejectedError,
)

# --- whatever comes ---------------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=30)
    | st.sampled_from(
        ["completed", "failed", "deleted", "https://a/b.png", "../../x", "abc123", "1e400", "nan", "\ud800"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "id", "status", "outputs", "has_nsfw_contents", "error", "code", "timings", "executionTime", "created_at", "input",
    "model", "data", "message", "detail", "inference", "url",
]  # fmt: skip
objects = st.dictionaries(
    st.sampled_from(FIELDS), values | st.dictionaries(st.sampled_from(FIELDS), values), max_size=8
)
predictions = st.builds(lambda data, known: {**data, "id": known}, objects, st.just("abc"))


def check(prediction: Prediction) -> None:
    assert check_prediction_id(prediction.id) == prediction.id
    assert all(isinstance(address, str) and address for address in prediction.outputs)
    assert not (prediction.completed and prediction.failed)
    if prediction.failed:
        failure = prediction.failure()
        assert isinstance(failure, QwenError)
        failure.message.encode()
        assert len(failure.message) <= 400
    assert prediction.seconds is None or prediction.seconds >= 0


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=150)
def test_any_body_is_read_or_is_a_bad_answer(body):
    try:
        envelope = read_envelope(body)
        assert isinstance(envelope.refused, bool)
        assert 400 <= envelope.as_status < 600
        check(read_prediction(envelope.data))
    except BadAnswerError:
        pass
    assert isinstance(error_text(body), str)


@given(values | objects | predictions)
@settings(max_examples=200)
def test_any_value_is_a_prediction_or_a_bad_answer(value):
    for asked in (None, "abc"):
        with contextlib.suppress(BadAnswerError):
            check(read_prediction(value, asked=asked))


@given(st.sampled_from([400, 401, 402, 403, 404, 422, 429, 500]), objects, st.text(max_size=20))
@settings(max_examples=150)
def test_any_refusal_is_an_error_with_a_clean_message(status, answer, wait):
    error = refusal(status, json.dumps(answer).encode(), {"retry-after": wait})
    assert isinstance(error, QwenError)
    assert error.paid == "no"
    error.message.encode()
    assert len(error.message) <= 400
    assert "\n" not in error.message


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"data":[', b'{"error":{"message":'])
@pytest.mark.parametrize("depth", [100, 450, 900, 990, 5_000, 100_000])
def test_depth_is_contained(opening, depth):
    """However deep: read, or a bad answer, never a RecursionError."""
    body = (
        opening * depth
        + b"1"
        + {b"[": b"]", b'{"a":': b"}", b'{"data":[': b"]}", b'{"error":{"message":': b"}}"}[opening] * depth
    )
    try:
        envelope = read_envelope(body)
        read_prediction(
            {"id": "abc", "outputs": envelope.data, "error": envelope.data, "input": envelope.data}
        )
    except BadAnswerError:
        pass
    error_text(body)


@pytest.mark.parametrize("depth", [1, 2, 100, 800])
def test_outputs_are_not_followed_into_the_deep(depth):
    nested = json.loads("[" * depth + '"https://a/b.png"' + "]" * depth)
    assert read_prediction({"id": "abc", "outputs": nested}).outputs == (
        ("https://a/b.png",) if depth == 1 else ()
    )


def test_a_million_brackets_are_quick():
    with pytest.raises(BadAnswerError):
        read_json(b"[" * 1_000_000)
    assert error_text(b"<" * 1_000_000)


# --- envelope and ids -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ({"code": 200, "data": {}}, False),
        ({"code": 0, "data": {}}, False),
        ({"data": {}}, False),
        ({"code": None, "data": None}, False),
        ({"code": "x", "data": None}, False),
        ({"code": True, "data": None}, False),
        ({"code": "200", "data": None}, False),
        ({"code": 200.0, "data": None}, False),
        ({"code": 400, "data": None}, True),
        ({"code": 400}, True),
        ({"code": "400"}, True),
        ({"code": -1}, True),
        ({"code": 201, "data": None}, True),
        ({"code": 400, "data": {"id": ""}}, True),
        ({"code": 400, "data": {"id": "abc"}}, False),
        ({"code": 400, "id": "abc"}, False),
    ],
)
def test_what_refuses(answer, refused):
    assert read_envelope(json.dumps(answer).encode()).refused is refused


@pytest.mark.parametrize("good", ["a", "0" * 32, "pred_1-x", "task-9", "A" * 128])
def test_ids(good):
    assert read_prediction({"id": good}).id == good


@pytest.mark.parametrize(
    "bad", ["", "a" * 129, "a/b", "..", "a b", "a\n", "ä", "a.b", "a%20", None, 1, [], {}, True]
)
def test_ids_that_are_none(bad):
    with pytest.raises(BadAnswerError):
        read_prediction({"id": bad})


@pytest.mark.parametrize("data", [None, [], "x", 3, True])
def test_no_object_is_no_prediction(data):
    with pytest.raises(BadAnswerError):
        read_prediction(data)


@pytest.mark.parametrize("missing", [None, ""])
def test_an_answer_to_a_question_may_lack_the_id(missing):
    assert read_prediction({"id": missing, "status": "created"}, asked="abc").id == "abc"
    with pytest.raises(BadAnswerError):
        read_prediction({"id": missing}, asked="abc")


@pytest.mark.parametrize("other", ["abd", "ABC", "../abc", 7, ["abc"]])
def test_an_answer_about_another_is_refused(other):
    with pytest.raises(BadAnswerError):
        read_prediction({"id": other, "status": "created"}, asked="abc")


# --- fields -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"timings": {"inference": 1500}}, 1.5),
        ({"executionTime": "1500"}, 1.5),
        ({"timings": None, "executionTime": 250}, 0.25),
        ({"timings": {"inference": -5}}, None),
        ({"timings": {"inference": "nan"}}, None),
        ({"timings": {"inference": True}}, None),
        ({"timings": []}, None),
        ({}, None),
    ],
)
def test_times_of_inference(fields, seconds):
    assert read_prediction({"id": "a", **fields}).seconds == seconds


@pytest.mark.parametrize("digits", range(10))
@pytest.mark.parametrize("zone", ["Z", "", "+00:00", "+0000", "-00:00", "+02:00", " Z"])
def test_times_with_0_to_9_fraction_digits(digits, zone):
    fraction = "." + "123456789"[:digits] if digits else ""
    moment = read_time(f"2025-06-01T12:30:15{fraction}{zone}")
    hour = 10 if zone == "+02:00" else 12
    micro = int("123456789"[:digits][:6].ljust(6, "0")) if digits else 0
    assert moment == datetime(2025, 6, 1, hour, 30, 15, micro, UTC)


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1)))  # noqa: DTZ001
def test_every_time_is_read_back(moment):
    assert read_time(moment.isoformat()) == moment
    assert read_time(moment.isoformat().replace("+00:00", "Z")) == moment


@pytest.mark.parametrize(
    "text",
    [
        None, 5, "", "yesterday", "2025-06-01", "2025-13-01T00:00:00Z", "2025-06-01T25:00:00Z", "2025-06-01T12:00:00.Z",
        "2025-06-01T12:00:00.1234567890Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
        "２０２５-06-01T12:00:00Z", "2025-06-01T12:00:00+99:99",
    ],
)  # fmt: skip
def test_times_that_are_none(text):
    assert read_time(text) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        (5.9, 5),
        ("-7", -7),
        (None, None),
        (True, None),
        ("x", None),
        (float("inf"), None),
        (10**400, None),
        ([], None),
    ],
)
def test_whole_numbers(value, number):
    assert integer(value) == number


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"code": 400, "message": "bad size"}, "bad size"),
        ({"error": "task not found"}, "task not found"),
        ({"detail": "no"}, "no"),
        ({"error": {"message": "inner"}}, "inner"),
        ({"message": "success", "error": "not so"}, "not so"),
        ({"message": "success", "data": {"error": "inside"}}, "inside"),
        ({"message": ["a"]}, ""),
        ({}, ""),
        ([], ""),
        ("just text", "just text"),
        (7, ""),
        (b"plain text", "plain text"),
        (b"<html><title>502 Bad Gateway</title><b>nginx</b></html>", "502 Bad Gateway nginx"),
        (b"\xff\xfe\x00", "\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_the_words_of_an_error(body, text):
    assert error_text(body if isinstance(body, bytes) else json.dumps(body).encode()) == text


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "Insufficient credits. Please top up.", NoCreditError),
        (400, "insufficient   balance", NoCreditError),
        (400, "Not enough credits", NoCreditError),
        (400, "please TOP UP your account", NoCreditError),
        (402, "", NoCreditError),
        (401, "", KeyRefusedError),
        (403, "insufficient role", KeyRefusedError),
        (400, "Invalid API key provided", KeyRefusedError),
        (400, "invalid token", KeyRefusedError),
        (400, "prompt: too many tokens", RejectedError),
        (400, "Model not found", RejectedError),
        (404, "", NotTakenError),
        (422, "seed", RejectedError),
        (429, "You have reached your concurrency limit", RateLimitedError),
        (429, "insufficient credits", RateLimitedError),
    ],
)
def test_refusals(status, text, kind):
    error = refusal(status, json.dumps({"message": text}).encode())
    assert type(error) is kind
    assert " ".join(text.split()) in error.message
    assert error.paid == "no"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": "failed", "code": 1200}, ModeratedError),
        ({"status": "failed", "error": "flagged as potentially sensitive"}, ModeratedError),
        ({"status": "failed", "code": 5000, "error": "sensitive hardware"}, PredictionFailedError),
        ({"status": "failed", "code": 1403}, PredictionFailedError),
    ],
)
def test_failed_predictions(fields, kind):
    failure = read_prediction({"id": "abc", **fields}).failure()
    assert type(failure) is kind
    assert failure.prediction_id == "abc"
    if kind is PredictionFailedError:
        assert failure.code == fields["code"]


# --- Retry-After ------------------------------------------------------------------------------------------

NOW = "Wed, 01 Jan 2025 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "300"}, LONGEST_RETRY),
        ({"retry-after": "300.1"}, DEFAULT_RETRY),
        ({"retry-after": "1e9"}, DEFAULT_RETRY),
        ({"retry-after": "-1"}, DEFAULT_RETRY),
        ({"retry-after": "nan"}, DEFAULT_RETRY),
        ({"retry-after": "-inf"}, DEFAULT_RETRY),
        ({"retry-after": "infinity"}, DEFAULT_RETRY),
        ({"retry-after": ""}, DEFAULT_RETRY),
        ({"retry-after": "tomorrow"}, DEFAULT_RETRY),
        ({"retry-after": "9" * 500}, DEFAULT_RETRY),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "-250"}, DEFAULT_RETRY),
        ({"retry-after-ms": "400000"}, DEFAULT_RETRY),
        ({"retry-after-ms": "x"}, DEFAULT_RETRY),
        ({"retry-after-ms": "x", "retry-after": "4"}, 4),
        ({"retry-after-ms": "500", "retry-after": "4"}, 0.5),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:09 GMT", "date": NOW}, 9),
        ({"retry-after": "Wednesday, 01-Jan-25 00:00:09 GMT", "date": NOW}, 9),
        ({"retry-after": "Wed, 01 Jan 2025 02:00:09 +0200", "date": NOW}, 9),
        ({"retry-after": NOW, "date": "Wed, 01 Jan 2025 00:00:09 GMT"}, DEFAULT_RETRY),
        ({"retry-after": "Wed, 01 Jan 2025 01:00:00 GMT", "date": NOW}, DEFAULT_RETRY),
    ],
)
def test_retry_after(headers, seconds):
    assert read_retry_after(headers) == seconds


@pytest.mark.parametrize("date", [None, "", "not a date"])
def test_retry_after_a_date_without_the_servers_date(date):
    then = datetime.now(UTC) + timedelta(seconds=30)
    headers = {"retry-after": then.strftime("%a, %d %b %Y %H:%M:%S GMT")} | (
        {} if date is None else {"date": date}
    )
    assert 25 <= read_retry_after(headers) <= 30


@given(
    st.text(max_size=40)
    | st.floats().map(str)
    | st.datetimes().map(lambda d: d.strftime("%a, %d %b %Y %H:%M:%S GMT"))
)
@settings(max_examples=150)
def test_any_retry_after_is_a_wait_that_ends(text):
    for headers in ({"retry-after": text}, {"retry-after-ms": text}, {"retry-after": text, "date": text}):
        assert 0 <= read_retry_after(headers) <= LONGEST_RETRY


@given(st.text(max_size=60))
@settings(max_examples=150)
def test_any_date_is_read_or_none(text):
    moment = read_http_date(text)
    assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["Fri, 31 Dec 9999 23:59:59 -0100", "Mon, 01 Jan 0001 00:00:00 +2300", "", "0", "GMT"]
)
def test_dates_beyond_the_calendar(text):
    moment = read_http_date(text)
    assert moment is None or moment.tzinfo is UTC


def test_the_module_needs_no_network():
    assert not hasattr(answers, "httpx")
