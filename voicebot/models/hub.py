"""Files on the model hub: their URL, and the size and hash that their publisher vouches for."""

from __future__ import annotations

import http.client

from huggingface_hub import hf_hub_url

from voicebot.errors import DownloadError
from voicebot.models.catalogue import HubSource
from voicebot.models.digest import Digest
from voicebot.models.download import Expected
from voicebot.models.web import Web, shown


def hub_url(source: HubSource, endpoint: str | None = None) -> str:
    """Return the file's URL at `endpoint`, by default the hub library's own ($HF_ENDPOINT)."""
    return hf_hub_url(source.hub, source.path, revision=source.revision, endpoint=endpoint)


def published(web: Web, url: str) -> Expected:
    """Ask the hub what a file is: large ones by SHA-256, small ones by their git blob hash."""
    try:
        headers = web.head(url)
        etag = headers.get("X-Linked-ETag") or headers.get("ETag") or ""
        size = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
        return Expected(int(size), Digest(etag.removeprefix("W/").strip('"')))
    except ValueError as error:
        raise DownloadError(f"{shown(url)} comes with no hash from its publisher, so it was not fetched.") from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"The model hub did not answer for {shown(url)} ({error}); check the network.") from error
