"""The recorder: what is reported inside of ``record`` is kept, and nothing is kept, copied or slowed down outside."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier

import numpy as np
import pytest
import torch

from amphion_core.api import MelConfig, is_recording, record, report, report_step, steps_as_mels
from amphion_core.modules.diffusion import Diffusion, sample
from amphion_core.modules.workers import run_on_one_thread, run_pieces

MEL = MelConfig.preset("hifigan_22k_80")


class Untouchable:
    """A value that fails as soon as anybody reads it."""

    def __getattr__(self, name):
        raise AssertionError(f"read {name}")


def test_outside_of_a_recording_nothing_is_read():
    report("mel", Untouchable(), "BFN")
    report_step(Untouchable())
    with steps_as_mels(lambda x: pytest.fail("converted"), MEL):
        report_step(Untouchable())
    assert not is_recording()


def test_stages_are_copies_in_their_order():
    values = torch.arange(6.0).reshape(2, 3)
    with record() as recorder:
        report("text", "Good morning.")
        report("symbols", ["g", "u", "d"])
        report("durations", values, "BL", unit="frames")
        values.zero_()
        report("durations", values, "BL")
    assert [stage.name for stage in recorder.stages] == ["text", "symbols", "durations", "durations"]
    np.testing.assert_array_equal(recorder.all("durations")[0].array, [[0, 1, 2], [3, 4, 5]])
    assert recorder.last("durations").array.sum() == 0 and recorder.last("mel") is None
    assert recorder.all("durations")[0].details == {"unit": "frames"} and recorder.last("symbols").values == [*"gud"]
    with pytest.raises(TypeError, match="'text' holds text"):
        recorder.last("text").array  # noqa: B018


def test_axes_must_fit_the_shape():
    with record(), pytest.raises(ValueError, match=r"'mel' has shape \(2, 3\), and its axes are 'BFN'"):
        report("mel", torch.zeros(2, 3), "BFN")


def test_a_recording_inside_another_takes_the_stages_of_its_block():
    with record() as outer:
        report("a", [1.0], "N")
        with record() as inner:
            report("b", [1.0], "N")
        report("c", [1.0], "N")
    assert [stage.name for stage in outer.stages] == ["a", "c"] and [stage.name for stage in inner.stages] == ["b"]


def test_workers_report_to_the_recorder_of_their_caller_and_other_threads_do_not():
    count = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with record() as recorder:
            run_on_one_thread(lambda: report("worker", [1.0], "N"))
            run_pieces([lambda: report("piece", [1.0], "N"), lambda: report("piece", [2.0], "N")])
            stranger = threading.Thread(target=lambda: report("stranger", [1.0], "N"))
            stranger.start()
            stranger.join()
    finally:
        torch.set_num_threads(count)
    assert sorted(stage.name for stage in recorder.stages) == ["piece", "piece", "worker"]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm_solver"])
def test_a_sampler_reports_every_step_as_a_mel_and_the_last_one_is_the_result(sampler):
    pytest.importorskip("diffusers", reason='pip install "amphion-core[diffusion]"')
    diffusion, noise = Diffusion(steps=20), torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(0))

    def run():
        return sample(
            lambda x, step: 0.1 * x, noise, sampler=sampler, steps=5, diffusion=diffusion,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip

    with record() as recorder:
        for _ in range(2):
            with steps_as_mels(lambda x: 10 * x, MEL):
                found = run()
    steps = recorder.all("step")
    assert [stage.details["run"] for stage in steps] == [0] * 5 + [1] * 5
    assert all(stage.axes == "BFN" and stage.details["mel"] == MEL for stage in steps)
    times = [float(stage.details["time"]) for stage in steps[:5]]
    assert times == sorted(times, reverse=True) and len(set(times)) == 5
    np.testing.assert_allclose(steps[-1].array.clip(-10, 10), 10 * found.numpy(), atol=1e-6)
    torch.testing.assert_close(found, run())  # recording changes nothing


def test_threads_that_share_a_recorder_keep_their_runs_apart():
    """Two samplers work at once: all of their steps are there, each converted and numbered as its own run says."""
    steps, both = 50, Barrier(2)

    def sampler(factor):
        with steps_as_mels(lambda x: x * factor, f"mel {factor}"):
            both.wait()  # both runs have begun before either reports
            for number in range(steps):
                report_step(torch.full((1, 2, 3), float(number)), time=number)

    with record() as recorder, ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(copy_context().run, sampler, factor) for factor in (10, 1000)]
        for job in jobs:
            job.result()
    found = recorder.all("step")
    assert len(found) == 2 * steps
    runs = {stage.details["run"]: stage.details["mel"] for stage in found}
    assert sorted(runs) == [0, 1] and sorted(runs.values()) == ["mel 10", "mel 1000"]
    for run, mel in runs.items():
        own = [stage for stage in found if stage.details["run"] == run]
        factor = float(mel.removeprefix("mel "))
        assert [float(stage.array[0, 0, 0]) for stage in own] == [factor * number for number in range(steps)]


def test_another_thread_is_not_recorded_and_may_have_another_recorder():
    def work():
        report("alone", "nobody listens")
        with record() as own:
            report("own", "here")
        return [stage.name for stage in own.stages]

    with record() as recorder, ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == ["own"]
        report("mine", "here")
    assert [stage.name for stage in recorder.stages] == ["mine"]
