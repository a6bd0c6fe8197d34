"""A user stays in an arm, and shares are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.recommend.arms import Arm, Arms


def arms(*shares: float, experiment: str = "first") -> Arms:
    return Arms(
        [Arm(name=str(n), share=share) for n, share in enumerate(shares)], experiment=experiment
    )


@given(st.text(), st.floats(0, 1))
def test_a_user_always_has_the_same_arm(user_id: str, share: float) -> None:
    divided = arms(share, 1 - share)
    assert divided.of(user_id) == divided.of(user_id)
    assert divided.of(user_id).share > 0 or divided.of(user_id).name == "1"


def test_an_arm_is_what_it_was_in_the_last_release() -> None:
    divided = arms(0.5, 0.5)
    assert [divided.of(f"u{n}").name for n in range(8)] == list("11100100")


def test_arms_have_their_shares() -> None:
    divided = arms(0.2, 0.8)
    found = [divided.of(f"u{n}").name for n in range(10_000)]
    assert 1_850 < found.count("0") < 2_150


def test_another_experiment_divides_anew() -> None:
    one, other = arms(0.5, 0.5), arms(0.5, 0.5, experiment="second")
    moved = sum(one.of(f"u{n}") != other.of(f"u{n}") for n in range(1_000))
    assert 400 < moved < 600
