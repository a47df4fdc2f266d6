"""The API with one more route that does nothing: what any request to this application costs. Run by `latency`."""

from fastapi import Response

from api.__main__ import make_server
from bench.latency import EMPTY_PATH
from headrace.settings import get_settings


async def empty() -> Response:
    """Answer at once."""
    return Response(b"{}", media_type="application/json")


def main() -> None:
    """Serve as `python -m api` does."""
    server = make_server(get_settings())
    app = server.config.app
    app.add_api_route(EMPTY_PATH, empty, methods=["POST"])  # type: ignore[union-attr] # uvicorn also takes names of apps
    server.run()


if __name__ == "__main__":
    main()
