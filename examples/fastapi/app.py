"""A web application as it always was. All that is new are the two handles, the calls of them, and what becomes of a
request that the models cannot answer in time.

    MODELS=unix:/run/models.sock uvicorn app:app --workers 4
"""

import math
import os
import time

import fastapi
import pydantic
from fastapi.responses import JSONResponse

import batcher_handle
from batcher_handle import Handle, Options

LONGEST = 5.0  # seconds, that a request may take

MODELS = os.environ.get("MODELS", "unix:/tmp/batcher-models.sock")

# The metadata only where the models are an application of Ray Serve (examples/ray_serve): which one.
OPTIONS = Options(timeout=LONGEST, metadata=[("application", os.environ.get("APPLICATION", "models"))])

# Every worker has its own handles; all of them share the one deployment.
square_root = Handle(MODELS, "square_root", OPTIONS)
digits = Handle(MODELS, "digits", OPTIONS)

app = fastapi.FastAPI()


class Deadline:
    """Of a request. Its header X-Request-Timeout says how many seconds whoever sent it waits for the answer."""

    def __init__(self, x_request_timeout: float = fastapi.Header(LONGEST, gt=0)):
        self._end = time.monotonic() + min(x_request_timeout, LONGEST)

    def left(self):
        return self._end - time.monotonic()


@app.get("/num/{num}")
async def read_num(num: float, deadline: Deadline = fastapi.Depends()):
    question = {"number": num, "worker": os.getpid()}
    return await square_root.process(question, timeout=deadline.left())


class Image(pydantic.BaseModel):
    pixels: tuple[(float,) * 64]  # 8x8, row by row, from 0 (paper) to 16 (ink)


@app.post("/digit")
async def read_digit(image: Image, deadline: Deadline = fastapi.Depends()):
    return {"digit": await digits.process(image.pixels, timeout=deadline.left())}


STATUS = {
    batcher_handle.RemoteFailure: 422,  # of the item
    batcher_handle.Malformed: 422,
    batcher_handle.TooHeavy: 422,
    batcher_handle.DeadlineExceeded: 504,
}


@app.exception_handler(batcher_handle.Error)
async def call_failed(_, error):
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return JSONResponse({"detail": error.detail}, STATUS.get(type(error), 503), headers)
