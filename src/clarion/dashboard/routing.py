"""Maps addresses to functions, and builds their answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import msgspec

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.request import PageRequest, Response
from clarion.errors import InvalidInput
from clarion.rules.paths import SLASH

EMAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""An email brings its own styles and nothing else: no script, no request to anywhere."""

T = TypeVar("T")
Handler = Callable[[Site, PageRequest, str], Awaitable[Response]]


class PageRoute:
    """One address: a method, and a path whose `*` is handed to the function."""

    __slots__ = ("_pattern", "handler", "method", "page", "path")

    def __init__(self, method: str, path: str, handler: Handler, *, page: bool) -> None:
        self.method, self.path, self.handler = method, path, handler
        self.page = page
        """It may be opened by its address, and hands out the cookie that everything else needs."""
        self._pattern = re.compile(re.escape(path).replace(r"\*", "([^/]+)"))

    def match(self, path: str) -> str | None:
        """What stands for `*`, empty without one; None when this is another address."""
        found = self._pattern.fullmatch(path)
        return found and (found[1].replace(SLASH, "/") if found.groups() else "")


class PageRoutes:
    """The addresses of one part of the pages."""

    def __init__(self) -> None:
        self._routes: list[PageRoute] = []

    def __call__(self, method: str, path: str, *, page: bool = False) -> Callable[[Handler], Handler]:
        """Serve `path` with the decorated function."""

        def add(handler: Handler) -> Handler:
            self._routes.append(PageRoute(method, path, handler, page=page))
            return handler

        return add

    def __iter__(self) -> Iterator[PageRoute]:
        return iter(self._routes)


def fragment(name: str, *, code: int = 200, **context: object) -> Response:
    """A piece of a page."""
    return Response(status=code, body=pages.render(name, **context))


def posted(request: PageRequest, kind: type[T]) -> T:
    """What an editor sends. Raises InvalidInput."""
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise InvalidInput(f"The editor sent something that cannot be read: {wrong}.") from None


def plain(status: int, text: str) -> Response:
    """A sentence."""
    return Response(status=status, body=text.encode(), type="text/plain; charset=utf-8")


def sentence(title: str, text: str, status: int = 200, *, home: bool = False) -> Response:
    """A page of its own that says one thing."""
    return Response(status=status, body=pages.render("plain.html", title=title, text=text, home=home))


def readable(request: PageRequest, response: Response) -> Response:
    """A refusal as a page when somebody opened the address, as it is when a script asked."""
    if not response.type.startswith("text/plain") or "text/html" not in request.headers.get("accept", ""):
        return response
    title = "Page not found" if response.status == 404 else "Not available"
    return sentence(title, response.body.decode(), response.status)
