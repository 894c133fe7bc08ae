"""What comes in by POST: one JSON object of a known shape, of bounded size, in bounded time."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

from aiohttp import web
from pydantic import ValidationError

from voicebot.config.section import Section
from voicebot.errors import UsageError

MOST_BYTES: Final = 65_536
"""Of the body; the longest text that can be configured fits in."""
_PATIENCE_S: Final = 10.0

Body = TypeVar("Body", bound=Section)


async def read_body(request: web.Request, section: type[Body]) -> Body:
    """Return it. Raises UsageError for what it should not be, HTTPException where it is too large or too slow."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            content = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not come") from None
    try:
        return section.model_validate_json(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()]
        raise UsageError("; ".join(problems[:5])) from None
