"""Errors that tell a user what to do."""

import pytest

from prompt_tuning.errors import UserError, UserErrors, did_you_mean, raise_all


def test_a_message_has_a_line_for_what_is_allowed_and_one_for_what_to_do():
    error = UserError("a=1 is wrong", allowed="2, 3", fix="set a=2")
    assert str(error) == "a=1 is wrong\n  allowed: 2, 3\n  fix:     set a=2"
    assert str(UserError("a=1 is wrong")) == "a=1 is wrong"


def test_several_mistakes_stay_apart_however_they_are_nested():
    first, second, third = UserError("first"), UserError("second"), UserError("third")
    with pytest.raises(UserErrors) as caught:
        raise_all([first, UserErrors([second, third])])
    assert list(caught.value.parts) == [first, second, third]


def test_one_mistake_is_raised_as_itself_and_none_is_not():
    raise_all([])
    error = UserError("only")
    with pytest.raises(UserError) as caught:
        raise_all([error])
    assert caught.value is error


def test_only_a_word_that_is_alike_is_suggested():
    assert did_you_mean("rtee", ["rte", "cb"]) == "did you mean rte?"
    assert did_you_mean("zzz", ["rte", "cb"]) is None
