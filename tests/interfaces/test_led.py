"""An LED shows colours, and is given back as it was, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interfaces.kernel_led import KernelLed, coloured, plain
from voicebot.interfaces.led import DARK, LEDS, LOOKS, Led, LedError, SysfsLed

GREEN = (0.0, 1.0, 0.0)
VIOLET = (0.5, 0.0, 1.0)


def blinking() -> KernelLed:
    """Return an LED that somebody lets blink in a way of his own."""
    led = coloured(trigger="timer")
    led.files |= {"delay_on": "70\n", "delay_off": "930\n"}
    return led


def test_an_led_of_one_colour_is_on_or_off() -> None:
    led = Led(kernel := plain(), brightness=0.3)
    led.take()
    for colour in (GREEN, DARK, VIOLET):
        led.light(colour)
    assert kernel.lit == [76, 0, 76]


def test_an_led_of_three_shows_its_colours_in_its_own_order() -> None:
    led = Led(kernel := coloured(), brightness=0.5)
    led.take()
    led.light(VIOLET)
    assert (kernel.files["multi_intensity"], kernel.files["brightness"]) == ("0 100 200\n", "100\n")
    led.light(DARK)
    assert kernel.files["brightness"] == "0\n"


def test_an_led_of_other_colours_is_lit_in_all_of_them() -> None:
    kernel = coloured()
    kernel.files |= {"multi_index": "amber white\n", "multi_intensity": "0 0\n"}
    led = Led(kernel, brightness=1.0)
    led.take()
    led.light(GREEN)
    assert kernel.files["multi_intensity"] == "200 200\n"


def test_the_least_brightness_is_not_dark() -> None:
    kernel = plain()
    kernel.files["max_brightness"] = "1\n"
    led = Led(kernel, brightness=0.01)
    led.take()
    led.light(GREEN)
    assert kernel.lit == [1]


@pytest.mark.parametrize("make", [plain, coloured, blinking, lambda: plain(trigger="heartbeat")])
def test_it_is_given_back_as_it_was(make: Callable[[], KernelLed]) -> None:
    kernel = make()
    before = kernel.everything()
    led = Led(kernel, brightness=1.0)
    led.take()
    assert kernel.trigger == "none"
    for look in LOOKS.values():
        led.light(look.colour)
        led.light(DARK)
    assert led.give_back() == []
    if kernel.trigger != "none":
        kernel.files.pop("brightness")  # which the trigger changes all the time
    assert kernel.everything() == {name: before[name] for name in kernel.everything()}
    assert led.give_back() == []


def test_it_can_be_taken_again_after_others_have_changed_it() -> None:
    led = Led(kernel := plain(), brightness=1.0)
    led.take()
    led.give_back()
    kernel.write("brightness", "9")
    led.take()
    led.light(GREEN)
    led.give_back()
    assert kernel.files["brightness"] == "9\n"


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        (plain(locked={"brightness"}), "brightness can't be written"),
        (coloured(locked={"multi_intensity"}), "multi_intensity can't be written"),
        (plain(trigger="heartbeat", locked={"trigger"}), "trigger can't be written"),
        (plain(gone=True), "can't be read"),
        (KernelLed({"brightness": "0\n", "max_brightness": "many\n"}), "can't be read"),
    ],
)
def test_what_could_not_be_given_back_is_not_touched(kernel: KernelLed, why: str) -> None:
    led = Led(kernel, brightness=1.0)
    with pytest.raises(LedError, match=why):
        led.take()
    assert led.give_back() == []
    assert kernel.written == []


def test_a_trigger_that_is_not_there_need_not_be_written() -> None:
    led = Led(kernel := plain(locked={"trigger"}), brightness=1.0)
    led.take()
    led.light(GREEN)
    assert kernel.lit == [255]


def test_what_can_not_be_put_back_is_named() -> None:
    led = Led(kernel := coloured(), brightness=1.0)
    led.take()
    led.light(GREEN)
    kernel.gone = True
    with pytest.raises(LedError, match="No such device"):
        led.light(DARK)
    assert led.give_back() == ["multi_intensity", "brightness"]


def test_the_kernels_own_files(tmp_path: Path) -> None:
    folder = tmp_path / LEDS / "blue:status"
    folder.mkdir(parents=True)
    contents = {"brightness": "0\n", "max_brightness": "15\n", "trigger": "[none] timer\n", "uevent": ""}
    for name, content in contents.items():
        (folder / name).write_text(content)
    (folder / "max_brightness").chmod(0o444)
    (folder / "power").mkdir()
    files = SysfsLed(tmp_path, "blue:status")
    assert files.names() == ["brightness", "trigger", "uevent"]
    led = Led(files, brightness=1.0)
    led.take()
    led.light(GREEN)
    assert (folder / "brightness").read_text() == "15"
    assert led.give_back() == []
    assert {name: (folder / name).read_text() for name in contents} == contents
    with pytest.raises(LedError, match="can't be read"):
        Led(SysfsLed(tmp_path, "red:status"), brightness=1.0).take()
