"""`amphion serve` against piper's own HTTP server, with the same voice and the same sentences; and a soak test.

Prints the tables of docs/performance.md: requests per second at 1, 4 and 16 clients, processor time of the server for
each request, and the time to the first audio. Both servers run all the time and are asked in turn. The voice is
`tts/vits@piper-en-us-joe`, so it needs the extras amphion-tts[voice] and amphion-core[serve]. The package
piper-tts[http] belongs into a separate environment, whose python is an argument; without it only ours is measured.

`soak` sends many requests of 16 clients, a tenth of them broken, and checks every answer: the right audio, or the
right refusal. It prints the memory of the server on the way, then kills the server, starts it again at the same port,
and asks once more. Linux only.
Run: python benchmarks/serving.py [python of piper's environment] [requests of a round, default 48] [rounds, default 3]
     python benchmarks/serving.py batch: processor time of a sentence alone and among four that are computed at once
     python benchmarks/serving.py soak [number of requests, default 10000] [voice]
"""

import io
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from side_by_side import medians

from amphion_core import cards

VOICE = "tts/vits@piper-en-us-joe"
SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "She sells sea shells by the sea shore.",
    "The rain in Spain stays mainly in the plain.",
    "A journey of a thousand miles begins with a single step.",
)
LONG = " ".join(SENTENCES)
SHORT = ("One.", "Two, three.", "Good morning.", "Is it late?", "Eleven and seven.", "Yes!", "A small house.", "Go on.")
CLIENTS = (1, 4, 16)
TOLERANCE = 8  # of 32768; the number of threads of a sentence depends on the load, and changes its rounding


class Server:
    """A server in a separate process."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process, self.url = process, url

    @property
    def cpu(self) -> float:
        """Processor time until now, seconds: user and system, also of threads that have ended."""
        return time.clock_gettime((~self.process.pid << 3) | 2)  # clock_getcpuclockid(3)

    @property
    def memory(self) -> float:
        """Resident memory, MB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def ours(port: int = 0, voice: str = VOICE) -> Iterator[Server]:
    command = [str(Path(sys.executable).with_name("amphion")), "serve", "tts", "--model", voice, "--preload"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the server did not start"
        yield Server(process, found[0])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def piper(python: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    model = str(cards.find(VOICE).path())
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [python, "-m", "piper.http_server", "-m", model, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            server = Server(process, f"http://127.0.0.1:{port}")
            for _ in range(600):
                try:
                    httpx.get(f"{server.url}/voices")
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            yield server
        finally:
            process.kill()
            process.wait()


def request_of(name: str, text: str, form: str = "wav") -> tuple[str, dict[str, str]]:
    """Path and body for one of the two servers."""
    if name == "piper":
        return "/synthesize", {"text": text}
    return "/v1/audio/speech", {"input": text, "response_format": form}


def load(server: Server, name: str, clients: int, count: int) -> tuple[float, float]:
    """Requests per second, and processor time of the server for each, in seconds."""

    def ask(texts: tuple[str, ...]) -> None:
        with httpx.Client(timeout=300) as client:
            for text in texts:
                path, body = request_of(name, text)
                answer = client.post(server.url + path, json=body)
                assert answer.status_code == 200 and answer.content[:4] == b"RIFF", answer.text[:200]

    texts = [SENTENCES[number % len(SENTENCES)] for number in range(count)]
    with ThreadPoolExecutor(clients) as pool:
        before, start = server.cpu, time.perf_counter()
        list(pool.map(ask, [tuple(texts[client::clients]) for client in range(clients)]))
        return count / (time.perf_counter() - start), (server.cpu - before) / count


def first_audio(server: Server, name: str, text: str, rounds: int) -> list[float]:
    """Medians to the first byte of audio: seconds, processor time of the server; the same to the last byte."""
    times: list[list[float]] = []
    with httpx.Client(timeout=300) as client:
        for _ in range(rounds + 1):
            path, body = request_of(name, text, "pcm")
            start, before, first = time.perf_counter(), server.cpu, [0.0, 0.0]
            with client.stream("POST", server.url + path, json=body) as answer:
                for number, _part in enumerate(answer.iter_bytes()):
                    if not number:
                        first = [time.perf_counter() - start, server.cpu - before]
            times.append([*first, time.perf_counter() - start, server.cpu - before])
    return [statistics.median(column) for column in zip(*times[1:])]


def compare(servers: dict[str, Server], count: int, rounds: int) -> None:
    for name, server in servers.items():
        load(server, name, 4, 8)  # not counted
    print(f"| clients | {' | '.join(f'{name}: requests/s, CPU s a request' for name in servers)} | ratios |")
    print(f"| --- | {' | '.join('---' for _ in servers)} | --- |")
    for clients in CLIENTS:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                found[name].append(load(server, name, clients, count))
        middle = {name: [statistics.median(column) for column in zip(*each)] for name, each in found.items()}
        cells = [f"{rate:.2f}, {cpu:.3f}" for rate, cpu in middle.values()]
        ratios = [f"{a / b:.2f}" for a, b in zip(middle["ours"], middle.get("piper", middle["ours"]))]
        print(f"| {clients} | {' | '.join(cells)} | {', '.join(ratios)} |", flush=True)
    print(f"| text | {' | '.join(f'{name}: to the first audio, processor time; to the last' for name in servers)} |")
    print(f"| --- | {' | '.join('---' for _ in servers)} |")
    for text in (SENTENCES[0], LONG):
        times = [[1000 * each for each in first_audio(server, name, text, 7)] for name, server in servers.items()]
        cells = [f"{a:.0f} ms, {b:.0f} ms; {c:.0f} ms, {d:.0f} ms" for a, b, c, d in times]
        print(f"| {len(text)} characters | {' | '.join(cells)} |")


def batch() -> None:
    """Processor time of a sentence alone and in a batch, in this process on one thread, for two voices."""
    import torch

    import amphion_core as amphion
    from amphion_tts.speaking import Voice, spoken_pieces

    torch.set_num_threads(1)
    for model in (VOICE, "tts/fastspeech2@kathleen"):
        task = amphion.task("tts", model=model)
        voice = Voice(task.net, task.vocoder, task.frontend, task.sample_rate)
        pieces = [(plan, piece) for text in SENTENCES for plan in [task.plan(text)] for piece in plan.pieces]

        def speak(size: int, voice: Voice = voice, pieces: Any = pieces) -> int:
            return len(list(spoken_pieces(voice, pieces, size)))

        found = medians({str(size): partial(speak, size) for size in (1, 4)}, rounds=3, clock=time.process_time)
        shown = ", ".join(f"{1000 * seconds / len(pieces):.0f} ms" for seconds in found.values())
        print(f"{model}: {shown} of one core for a sentence alone, and for one of four at once", flush=True)


def samples(data: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return soundfile.read(io.BytesIO(data), dtype="int16")[0]


BROKEN: tuple[tuple[int, bytes], ...] = (
    (400, b"{"),
    (400, json.dumps({"input": ""}).encode()),
    (400, json.dumps({"input": "x" * 9000}).encode()),
    (400, json.dumps({"input": "Hello.", "speed": 99}).encode()),
    (400, json.dumps({"input": "Hello.", "prompt": "/etc/passwd"}).encode()),
    (404, json.dumps({"input": "Hello.", "model": "nobody"}).encode()),
    (404, json.dumps({"input": "Hello.", "voice": "nobody"}).encode()),
    (413, b" " * 26_000_000),
    (0, json.dumps({"input": LONG, "response_format": "pcm"}).encode()),  # the client goes away after the first bytes
)


def soak(count: int, voice: str) -> None:
    def speak(client: httpx.Client, url: str, text: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
        path, body = request_of("ours", text)
        return samples(client.post(url + path, json=body).raise_for_status().content)

    def ask(number: int, url: str, expected: dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.int16]]"]) -> str:
        """What is wrong with the answer to one request; empty if nothing is."""
        client = clients[number % len(clients)]
        if number % 10 == 9:
            status, content = BROKEN[number // 10 % len(BROKEN)]
            if status == 0:
                with client.stream("POST", f"{url}/v1/audio/speech", content=content) as answer:
                    next(answer.iter_bytes())
                return ""
            found = client.post(f"{url}/v1/audio/speech", content=content)
            right = found.status_code == status and found.json()["error"]["message"]
            return "" if right else f"request {number}: {found.status_code} instead of {status}"
        text = SHORT[number * 7 % len(SHORT)]
        given = speak(client, url, text)
        if given.shape != expected[text].shape:
            return f"request {number}: {given.shape} samples instead of {expected[text].shape}"
        difference = int(np.abs(given.astype(int) - expected[text]).max())
        return "" if difference <= TOLERANCE else f"request {number}: differs by {difference}"

    clients = [httpx.Client(timeout=600) for _ in range(16)]
    with ours(voice=voice) as server:
        expected = {text: speak(clients[0], server.url, text) for text in SHORT}
        problems: list[str] = []
        begin = time.perf_counter()
        print(f"before: {server.memory:.0f} MB", flush=True)
        with ThreadPoolExecutor(16) as pool:
            for part in range(10):
                numbers = range(part * count // 10, (part + 1) * count // 10)
                problems += filter(None, pool.map(partial(ask, url=server.url, expected=expected), numbers))
                print(f"after {numbers.stop}: {server.memory:.0f} MB, {len(problems)} wrong answers", flush=True)
        print(f"{count} requests in {time.perf_counter() - begin:.0f} s", *problems[:10], sep="\n")
        server.process.kill()
        server.process.wait()
        port = int(server.url.rpartition(":")[2])
    with ours(port, voice) as server:
        for text in SHORT:
            given = speak(httpx.Client(timeout=600), server.url, text)
            assert np.abs(given.astype(int) - expected[text]).max() <= TOLERANCE
        print("killed, started again at the same port: the same answers")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended too
    words = sys.argv[1:]
    if words[:1] == ["batch"]:
        return batch()
    if words[:1] == ["soak"]:
        return soak(int(words[1]) if len(words) > 1 else 10_000, words[2] if len(words) > 2 else VOICE)
    count, rounds = (int(words[place]) if len(words) > place else value for place, value in ((1, 48), (2, 3)))
    run: Callable[[dict[str, Server]], None] = partial(compare, count=count, rounds=rounds)
    with ours() as server:
        if not words:
            return run({"ours": server})
        with piper(words[0]) as other:
            return run({"ours": server, "piper": other})


if __name__ == "__main__":
    main()
