"""The FastAPI application of examples/fastapi, as it is, and one more route.

    MODELS=dns:///serve:9000 uvicorn web:app --workers 2

Its routes have the replicas that serve.yaml gives their models: /num and /digit two, /digit/numpy one or two.
"""

from app import MODELS, Image, app  # of examples/fastapi
from batcher_handle import Handle, Options

numpy_digits = Handle(MODELS, "digits", Options(metadata=[("application", "digits_numpy")]))


@app.post("/digit/numpy")
async def read_digit_numpy(image: Image):
    return {"digit": await numpy_digits.process(image.pixels)}
