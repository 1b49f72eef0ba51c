"""A web application outside the cluster, for ray_test.py. MODELS: the address of the cluster's proxy."""

import os

import deployment  # of examples/fastapi
import fastapi

work = deployment.Handle(os.environ["MODELS"], "work", metadata=[("application", "work")])
app = fastapi.FastAPI()


@app.get("/work/{number}")
async def ask(number: int):
    _, _, server, batch, _ = await work.process((number, "", 0))
    return {"server": server, "batch": batch}
