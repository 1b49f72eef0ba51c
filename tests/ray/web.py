"""A web application outside the cluster, for ray_test.py. MODELS: the address of the cluster's proxy."""

import os

import fastapi

from batcher_handle import Handle, Options

work = Handle(os.environ["MODELS"], "work", Options(metadata=[("application", "work")]))
app = fastapi.FastAPI()


@app.get("/work/{number}")
async def ask(number: int):
    _, _, server, batch, _ = await work.process((number, "", 0))
    return {"server": server, "batch": batch}
