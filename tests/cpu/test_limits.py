"""The order of writes, on dictionaries for files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot.cpu.limits import CEILING, FLOOR, PREFERENCE, file_of, in_order, throttled

LOW, HIGH, PREFERRED = (file_of("policy0", kind) for kind in (FLOOR, CEILING, PREFERENCE))
PAIRS = st.lists(st.integers(0, 5), min_size=2, max_size=2).map(sorted)


@given(PAIRS, PAIRS, st.permutations([LOW, HIGH]))
def test_any_limits_lead_to_any_others_over_a_legal_path(held: list[int], wanted: list[int], names: list[str]) -> None:
    files = {LOW: str(held[0]), HIGH: str(held[1])}
    new = {LOW: str(wanted[0]), HIGH: str(wanted[1])}
    for name in in_order({name: new[name] for name in names}, files.get):
        files[name] = new[name]
        assert int(files[LOW]) <= int(files[HIGH])
    assert files == new


def test_a_refused_ceiling_keeps_the_floor_below_it() -> None:
    files = {LOW: "1000\n", HIGH: "1500\n"}
    assert list(in_order({LOW: "1800\n", HIGH: "2000\n"}, files.get)) == [HIGH]


def test_what_is_no_number_stands_in_nobodys_way() -> None:
    files = {HIGH: "<unknown>"}
    assert list(in_order({LOW: "2000", PREFERRED: "power"}, files.get)) == [LOW, PREFERRED]
    files.clear()
    assert list(in_order({LOW: "2000", PREFERRED: "power"}, files.get)) == [LOW, PREFERRED]


def test_the_kernel_cools_a_processor() -> None:
    files = {"a/type": "pwm-fan\n", "a/cur_state": "3\n", "b/type": "thermal-cpufreq-0\n", "b/cur_state": "0\n"}
    assert not throttled(files.get, ["a", "b", "c"])
    assert throttled((files | {"b/cur_state": "1\n"}).get, ["a", "b", "c"])
    assert throttled({"a/type": "Processor\n", "a/cur_state": "2\n"}.get, ["a"])
