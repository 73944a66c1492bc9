"""Events from a file to requests: their text untouched, their places kept."""

import pytest

from cli.client import ApiError, ClientError
from cli.send import batches, parse_events, refusal

ONE = '{"id": "1", "data": {"n": 1.10}}'
TWO = '{"id": "2", "data": {"n": 1e2}}'


@pytest.mark.parametrize(
    "text",
    [
        f"[{ONE}, {TWO}]",
        f" [\n {ONE} ,\n {TWO} \n]\n",
        f"{ONE}\n{TWO}\n",
        f"{ONE}\n\n{TWO}",
    ],
)
def test_arrays_and_lines_give_each_events_own_text(text: str) -> None:
    assert list(parse_events(text)) == [ONE, TWO]


@pytest.mark.parametrize("text", ["", "  \n", "[]", "[ ]\n"])
def test_nothing_is_no_events(text: str) -> None:
    assert list(parse_events(text)) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f'{ONE}\n{{"id": }}', "line 2"),
        (f"[{ONE}, {TWO}", "cut short"),
        (f"[{ONE} {TWO}]", "cut short"),
        ("nonsense", "line 1"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_not_json_is_named(text: str, named: str) -> None:
    with pytest.raises(ClientError, match=named):
        list(parse_events(text))


def test_batches_keep_order_and_bounds() -> None:
    events = [f'"{n}"' for n in range(1001)]
    made = list(batches(events, 500))
    assert [len(batch) for batch in made] == [500, 500, 1]
    assert [event for batch in made for event in batch] == events


def test_large_events_make_smaller_batches() -> None:
    made = list(batches(["x" * 400_000] * 5, 500))
    assert [len(batch) for batch in made] == [2, 2, 1]


def test_a_refusal_points_into_the_whole_file() -> None:
    error = ApiError(
        422,
        {
            "code": "validation",
            "detail": "No.",
            "errors": [{"pointer": "/2/data/n", "code": "not-a-number"}],
        },
    )
    text = str(refusal(error, 500, 100))
    assert "events 501 to 600: 422 validation: No." in text
    assert "event 503/data/n  not-a-number" in text
