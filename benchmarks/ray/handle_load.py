"""handle_load.py CLUSTER IN_FLIGHT SECONDS: as load.cpp, through a Ray Serve handle, from Python."""

import asyncio
import sys
import time

import numpy as np
import ray
from ray import serve


async def keep_calling(scorer, latencies, begin, end, item):
    expected = float(item[0]) * sum(range(64)) / 64  # by the weights of models.py
    asked = time.perf_counter()
    while asked < end:
        score = await scorer.score.remote(item)
        assert abs(score - expected) <= 1e-3 * expected, (score, expected)
        answered = time.perf_counter()
        if answered > begin:
            latencies.append(answered - asked)
        asked = answered


async def main(in_flight, seconds):
    scorer = serve.get_app_handle("per_item")
    latencies = []
    begin = time.perf_counter() + seconds / 4
    items = (np.full(64, i % 16 + 1, np.float32) for i in range(in_flight))
    calls = (keep_calling(scorer, latencies, begin, begin + seconds, item) for item in items)
    await asyncio.gather(*calls)
    latencies.sort()
    p50, p99 = (1e6 * latencies[int(q * len(latencies))] for q in (0.5, 0.99))
    print(len(latencies), seconds, p50, p99)


ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
asyncio.run(main(int(sys.argv[2]), float(sys.argv[3])))
