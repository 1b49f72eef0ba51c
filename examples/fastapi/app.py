"""A web application as it always was. All that is new are the two handles, and the calls of them.

    MODELS=unix:/run/models.sock uvicorn app:app --workers 4
"""

import os

import fastapi
import grpc.aio
import pydantic
from fastapi.responses import JSONResponse

import deployment

MODELS = os.environ.get("MODELS", "unix:/tmp/batcher-models.sock")

# Only where the models are an application of Ray Serve (examples/ray_serve): which one.
METADATA = [("application", os.environ.get("APPLICATION", "models"))]

# Every worker has its own handles; all of them share the one deployment.
square_root = deployment.Handle(MODELS, "square_root", metadata=METADATA)
digits = deployment.Handle(MODELS, "digits", metadata=METADATA)

app = fastapi.FastAPI()


@app.get("/num/{num}")
async def read_num(num: float):
    return await square_root.process({"number": num, "worker": os.getpid()})


class Image(pydantic.BaseModel):
    pixels: tuple[(float,) * 64]  # 8x8, row by row, from 0 (paper) to 16 (ink)


@app.post("/digit")
async def read_digit(image: Image):
    return {"digit": await digits.process(image.pixels)}


@app.exception_handler(deployment.ItemFailed)
async def item_failed(_, error):
    overloaded = error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    return JSONResponse({"detail": str(error)}, 503 if overloaded else 422)


@app.exception_handler(grpc.aio.AioRpcError)
async def call_failed(_, error):
    return JSONResponse({"detail": error.details()}, 503)
