"""Which hosts a pipeline file may name."""

from __future__ import annotations

import pytest

from voicebot.config.nearby import refuse_public


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1", "fe80::1", "fd00::1", "kitchen.local"])
def test_the_local_network_and_names_pass(host: str) -> None:
    refuse_public(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "2001:4860:4860::8888"])
def test_the_internet_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=f"^{host} is not on the local network$"):
        refuse_public(host)
