"""One HTTP connection of the RPC server, and the one form in which it says what is refused.

What aiohttp refuses by itself, such as what is no HTTP at all, gets the same form as the server's refusals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from engram.node import logs
from engram.node.rpc.refusals import HttpRefusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpConnection(web.RequestHandler):
    """One HTTP connection. What is no HTTP is refused as all else is; only bugs of this node are logged."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP request, and to a request that has met a bug."""
        if status < 500:
            response = _refused(
                HttpRefusal(status, "this is no HTTP/1.1 request; see the node's RPC reference")
            )
        else:
            logs.get_logger("rpc").error("internal error", path=request.path, exc_info=exc)
            if request.writer.output_size > 0:
                raise ConnectionError("a part of the answer has been sent already")
            response = _refused(HttpRefusal(status, "internal error; the node's log has the details"))
        response.force_close()
        return response


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives every refusal the same form, those of aiohttp's router included."""
    try:
        return await handler(request)
    except HttpRefusal as refusal:
        return _refused(refusal)
    except web.HTTPException as error:
        headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return _refused(HttpRefusal(error.status, f"{error.reason}; see the RPC reference", headers=headers))
    except ConnectionError:  # the client has gone; if this were raised, it would be logged as a bug
        return web.Response(status=400)


def _refused(refusal: HttpRefusal) -> web.Response:
    return web.Response(
        status=refusal.status,
        text=refusal.body(),
        headers=refusal.headers,
        content_type="application/json",
    )
