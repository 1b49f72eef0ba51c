"""A web application as it always was. All that is new are the two handles, and the calls of them.

    MODELS=unix:/run/models.sock uvicorn app:app --workers 4
"""

import os

import fastapi
import pydantic
from fastapi.responses import JSONResponse

import batcher_handle
from batcher_handle import Handle, Options

MODELS = os.environ.get("MODELS", "unix:/tmp/batcher-models.sock")

# The metadata only where the models are an application of Ray Serve (examples/ray_serve): which one.
OPTIONS = Options(timeout=5, metadata=[("application", os.environ.get("APPLICATION", "models"))])

# Every worker has its own handles; all of them share the one deployment.
square_root = Handle(MODELS, "square_root", OPTIONS)
digits = Handle(MODELS, "digits", OPTIONS)

app = fastapi.FastAPI()


@app.get("/num/{num}")
async def read_num(num: float):
    return await square_root.process({"number": num, "worker": os.getpid()})


class Image(pydantic.BaseModel):
    pixels: tuple[(float,) * 64]  # 8x8, row by row, from 0 (paper) to 16 (ink)


@app.post("/digit")
async def read_digit(image: Image):
    return {"digit": await digits.process(image.pixels)}


@app.exception_handler(batcher_handle.Error)
async def call_failed(_, error):
    of_the_item = isinstance(error, (batcher_handle.RemoteFailure, batcher_handle.Malformed))
    return JSONResponse({"detail": error.detail}, 422 if of_the_item else 503)
