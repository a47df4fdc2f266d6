"""The floor of `http`: a FastAPI application whose only route checks the body of a submission and does nothing."""

import sys

import uvicorn
from fastapi import FastAPI, Response

from headrace.submission import SubmitBody

app = FastAPI()


@app.post("/v1/jobs", status_code=202)
async def submit(body: SubmitBody) -> Response:  # noqa: ARG001 - that it was checked is all that is wanted of it
    """Answer at once."""
    return Response(b"{}", 202, media_type="application/json")


def main() -> None:
    """Serve at the port that is given, with the options of `python -m api`."""
    uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False, server_header=False)


if __name__ == "__main__":
    main()
