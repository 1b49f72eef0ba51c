"""The model of the table ray in Python: a score that is linear in 64 features; per item and in vectors."""

import numpy as np
from ray import serve
from starlette.requests import Request

import batcher_serve

WEIGHTS = np.arange(64, dtype=np.float32) / 64


@serve.deployment
class PerItem:
    """As Ray's documentation batches: a call for each item, gathered by @serve.batch in the replica."""

    @serve.batch(max_batch_size=256, batch_wait_timeout_s=0.001)
    async def score(self, items):
        return (np.array(items) @ WEIGHTS).tolist()

    async def __call__(self, request: Request):
        return await self.score(np.frombuffer(await request.body(), np.float32))


@serve.deployment
class Vectors(batcher_serve.Model):
    name = "scorer"

    def process(self, items):
        return (np.array(items, np.float32) @ WEIGHTS).tolist()


per_item = PerItem.bind()
vectors = Vectors.bind()
