"""Where other machines may be that a pipeline file names: on the local network, and nowhere else."""

from __future__ import annotations

import ipaddress


def refuse_public(host: str) -> None:
    """Raise ValueError for an address of the internet. A name passes: only the network can tell where it leads."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if address.is_global:
        raise ValueError(f"{host} is not on the local network")
