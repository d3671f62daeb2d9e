"""The settings of a factory: what its defaults may be."""

from typing import Any

import attrs
import pytest

from polytrade.api import setting
from polytrade.schema import check_defaults, fields_of


def made(kind: Any, default: Any) -> type:
    """A factory with one setting `wait_s`."""
    return attrs.make_class("Made", {"wait_s": attrs.field(default=default, type=kind)})


@attrs.define
class Ranged:
    wait_s: float = setting(-5.0, "between two", unit="s", ge=0)


@attrs.define
class Chosen:
    mode: str = setting("tuch", "how", choices=("queue", "touch"))


@attrs.define
class Spans:
    hours: tuple[int, ...] = setting((1, 30), "when", le=24)


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (Ranged, "default of wait_s: expected float of at least 0, found -5.0"),
        (
            Chosen,
            'default of mode: expected one of queue, touch, found "tuch" (did you mean touch?)',
        ),
        (Spans, "default of hours[1]: expected int of at most 24, found 30"),
        (made(float, "5"), 'default of wait_s: expected float, found "5"'),
        (made(int, True), "default of wait_s: expected int, found true"),
        (made(float, None), "default of wait_s: expected float, found None"),
        (made(float, float("nan")), "default of wait_s: expected float, found nan"),
        (made(int, attrs.Factory(str)), 'default of wait_s: expected int, found ""'),
    ],
)
def test_default_that_no_configuration_could_say_is_refused(factory: type, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_defaults(factory)
    assert str(caught.value) == said


def test_defaults_that_fit_pass() -> None:
    check_defaults(made(float, 5))
    check_defaults(made(float, attrs.NOTHING))
    check_defaults(made(tuple[int, ...], attrs.Factory(tuple)))
    check_defaults(made(int, attrs.Factory(lambda made: "later", takes_self=True)))


def test_default_that_a_converter_changes_is_its_own_affair() -> None:
    field = attrs.field(default="5", type=float, converter=float)
    check_defaults(attrs.make_class("Made", {"wait_s": field}))


def test_field_tells_its_default_and_whether_it_needs_a_value() -> None:
    (given,) = fields_of(made(float, 2.0))
    (wanted,) = fields_of(made(float, attrs.NOTHING))
    (listed,) = fields_of(made(tuple[int, ...], attrs.Factory(tuple)))
    assert (given.required, given.made(), listed.made()) == (False, 2.0, ())
    assert wanted.required
