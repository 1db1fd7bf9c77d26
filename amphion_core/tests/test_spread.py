"""Work over processes: in order, each process with one thread, and one that dies is reported."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from operator import neg

import pytest

from amphion_core.data.ray_spread import spread_on_ray
from amphion_core.data.spread import WorkerDied, spread

SCRIPT = """
import json, os
import numpy, torch
from threadpoolctl import threadpool_info
from amphion_core.data.spread import spread

def threads(task):
    return sorted({pool["num_threads"] for pool in threadpool_info()} | {torch.get_num_threads()})

if __name__ == "__main__":
    print(json.dumps([list(spread(threads, range(3), 2)), os.environ["OMP_NUM_THREADS"]]))
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_tasks(processes):
    assert list(spread(neg, range(20), processes)) == [*range(0, -20, -1)]


def test_libraries_that_a_script_imports_first_have_one_thread_in_each_process(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    made = subprocess.run(
        [sys.executable, path], env=os.environ | {"OMP_NUM_THREADS": "3"}, capture_output=True, text=True, check=True
    )
    assert json.loads(made.stdout) == [[[1], [1], [1]], "3"]


@pytest.mark.skipif(find_spec("ray") is None, reason='ray is not installed: pip install "amphion-core[ray]"')
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_task_on_a_cluster_gets_one_gpu_where_it_asks_for_one():
    import ray

    def visible_gpus(task):  # inside the test, so that it is sent by value: workers cannot import a test module
        return task, os.environ.get("CUDA_VISIBLE_DEVICES")

    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)  # ray does not check that it exists
    try:
        assert list(spread_on_ray(visible_gpus, range(3), gpu=True)) == [(0, "0"), (1, "0"), (2, "0")]
        assert all(gpus != "0" for _, gpus in spread_on_ray(visible_gpus, range(2)))
    finally:
        ray.shutdown()


def test_a_process_that_dies_is_reported():
    with pytest.raises(WorkerDied, match="killed"):
        list(spread(os._exit, range(200), 2))
