"""The demo's memory of visitors: bounded in number and time."""

from pipeline.demo.visitors import FORGET_AFTER, MOST_VISITORS, Visitors


def test_a_visitor_finds_what_was_left() -> None:
    visitors: Visitors[list[str]] = Visitors(list)
    visitors.of("anna").append("photo")
    assert visitors.of("anna") == ["photo"]
    assert visitors.of("bela") == []
    visitors.of("bela").append("photo")
    assert visitors.of("bela") == ["photo"]


def test_who_leaves_is_forgotten() -> None:
    visitors: Visitors[list[str]] = Visitors(list)
    visitors.of("anna").append("photo")
    visitors.forget("anna")
    visitors.forget("somebody unknown")
    assert len(visitors) == 0
    assert visitors.of("anna") == []


def test_who_is_silent_for_long_is_forgotten_and_who_is_not_stays() -> None:
    now = [0.0]
    visitors: Visitors[list[str]] = Visitors(list, clock=lambda: now[0])
    visitors.of("anna").append("photo")
    now[0] = FORGET_AFTER
    visitors.of("bela").append("photo")
    now[0] = FORGET_AFTER + 1
    visitors.forget_silent()
    assert len(visitors) == 1
    assert visitors.of("bela") == ["photo"]
    assert visitors.of("anna") == []


def test_one_visitor_too_many_costs_the_one_who_was_quiet_for_longest() -> None:
    visitors: Visitors[list[int]] = Visitors(list)
    for number in range(MOST_VISITORS):
        visitors.of(str(number)).append(number)
    visitors.of("0")
    visitors.of("one more")
    assert len(visitors) == MOST_VISITORS
    assert visitors.of("0") == [0]
    assert visitors.of("1") == []
