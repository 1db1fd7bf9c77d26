"""Pieces of work on worker threads: one core each, results in order, and no effect on torch's own settings."""

import multiprocessing
import threading

import pytest
import torch

from amphion_core.modules.workers import run_on_one_thread, run_pieces, threads_for_pieces


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_keep_the_order_and_each_piece_has_one_thread(two_threads):
    assert run_pieces([lambda n=n: (n, torch.get_num_threads()) for n in range(7)]) == [(n, 1) for n in range(7)]


def test_two_pieces_run_at_the_same_time(two_threads):
    meeting = threading.Barrier(2, timeout=60)  # passes only if both pieces arrive
    assert sorted(run_pieces([meeting.wait, meeting.wait])) == [0, 1]


def test_the_number_of_threads_stays_for_the_caller_and_for_new_threads(two_threads):
    run_pieces([lambda: None, lambda: None])
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (torch.get_num_threads(), seen) == (2, [2])


def test_pieces_record_no_gradients_and_keep_inference_mode(two_threads):
    assert run_pieces([torch.is_grad_enabled] * 2) == [False, False]
    with torch.inference_mode():
        assert run_pieces([torch.is_inference_mode_enabled] * 2) == [True, True]


def test_one_function_runs_on_one_thread_without_gradients(two_threads):
    assert run_on_one_thread(lambda: (torch.get_num_threads(), torch.is_grad_enabled())) == (1, False)
    with pytest.raises(ZeroDivisionError):
        run_on_one_thread(lambda: 1 // 0)


def test_work_on_one_thread_shares_its_pieces_with_the_other_threads(two_threads):
    meeting = threading.Barrier(2, timeout=60)  # passes only if another thread takes the second piece

    def work() -> tuple[int, list[int], list[int]]:
        run_pieces([meeting.wait, meeting.wait])
        return threads_for_pieces(), run_pieces([torch.get_num_threads] * 5), run_pieces([threads_for_pieces] * 5)

    assert run_on_one_thread(work) == (2, [1] * 5, [1] * 5)  # pieces of a piece are not shared again


def test_callers_at_the_same_time_do_not_block_each_other(two_threads):
    found: list[list[int]] = []

    def call() -> None:
        found.append(run_on_one_thread(lambda: run_pieces([lambda n=n: n for n in range(5)])))

    callers = [threading.Thread(target=call, daemon=True) for _ in range(8)]  # more callers than worker threads
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert found == [list(range(5))] * 8


def test_an_exception_of_a_piece_reaches_the_caller(two_threads):
    with pytest.raises(ZeroDivisionError):
        run_pieces([lambda: 1, lambda: 1 // 0])


def test_with_one_thread_the_caller_runs_the_pieces():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert run_pieces([threading.get_ident] * 3) == [threading.get_ident()] * 3
    finally:
        torch.set_num_threads(before)


def _in_child(queue) -> None:
    queue.put(run_pieces([lambda: 1, lambda: 2]))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_threads_again(two_threads):
    run_pieces([lambda: None, lambda: None])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == [1, 2]
    finally:
        child.join()
