"""The server at its public face: the client package of OpenAI, and HTTP, over a real server on a random port."""

import base64
import contextlib
import contextvars
import errno
import functools
import io
import os
import socket
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import openai
import pytest
import soundfile
import torch
import uvicorn
from pydantic import Field

import amphion_core as amphion
from amphion_core import registry, weights
from amphion_core.api import Audio, BaseConfig, TaskFramework
from amphion_core.cli.main import main
from amphion_core.requests import AudioInput
from amphion_core.serving.app import Server, make_app
from amphion_core.serving.settings import Settings

LETTERS = ("_", *" .,!?'-", *"abcdefghijklmnopqrstuvwxyz")
HTTP = httpx.Client(timeout=120)
PATIENCE = 120  # seconds after which something counts as stuck
TEXT = "One sentence. Another one! And a third?"


class Tone(TaskFramework):
    """A task of somebody else. Without seconds it plays until it is closed."""

    class Config(BaseConfig):
        """Nothing."""

    class Request(BaseConfig):
        """A tone, or a recording that is played."""

        hz: float = Field(default=440.0, ge=20, le=8000, description="pitch, Hz")
        seconds: tuple[float, ...] = Field(default=(), description="length of each piece, seconds")
        recording: AudioInput | None = Field(default=None, description="played before the tone")

    begun, closed = threading.Event(), threading.Event()

    def __init__(self, config, *, precision="float32", device="cpu"):
        super().__init__(config)

    def generate(self, request):
        return Audio.concatenate(list(self.stream(request)))

    def stream(self, request):
        if request.recording is not None:
            yield request.recording
        for seconds in request.seconds:
            yield self.tone(request.hz, seconds)
        if not request.seconds and request.recording is None:
            try:
                while True:
                    yield self.tone(request.hz, 0.5)
                    Tone.begun.set()
            finally:
                Tone.closed.set()

    @staticmethod
    def tone(hz, seconds):
        return Audio(np.sin(np.arange(round(seconds * 16000)) * 2 * np.pi * hz / 16000).astype(np.float32) / 2, 16000)


def save_voice(folder, **changes):
    vits = registry.get("models", "tts/vits")
    fields = vits.example_config().model_dump(mode="json")
    fields |= {"frontend": {"name": "characters", "symbols": LETTERS, "blank": "_"}, "vocabulary": None, **changes}
    torch.manual_seed(0)
    return weights.save(vits(vits.Config(**fields)), folder)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return save_voice(tmp_path_factory.mktemp("serving") / "tiny", n_speakers=1)


@pytest.fixture(scope="module")
def two_speakers(tmp_path_factory):
    return save_voice(tmp_path_factory.mktemp("serving") / "two", speakers=("ann", "ben"))


@contextlib.contextmanager
def running(settings):
    """The address of a server in a thread of this process."""
    ref = registry.ComponentRef("tasks", "tone", "tone_of_others:Tone", "tones", "1", api="amphion_core.api:v1")
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(make_app(Server(settings)), log_config=None, log_level="critical", lifespan="off")
    program = uvicorn.Server(config)
    with registry.temporary(ref):
        context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(program.run, [listening]))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        program.should_exit = True
        thread.join()


@pytest.fixture(scope="module", autouse=True)
def closed_connections():
    yield
    HTTP.close()


@pytest.fixture(scope="module")
def settings(voice, two_speakers):
    module = sys.modules["tone_of_others"] = types.ModuleType("tone_of_others")
    module.Tone = Tone
    places = {"tts": (str(voice), str(two_speakers))}
    return Settings(tasks=("tone", "tts"), places=places, max_text=100, max_upload=0.3, max_audio=5, workers=2)


@pytest.fixture(scope="module")
def url(settings):
    with running(settings) as found:
        yield found


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as found:
        yield found


def speak(client, text=TEXT, **fields):
    given = {"model": "tts-1", "voice": "alloy", "response_format": "wav", **fields}
    return client.audio.speech.create(input=text, **given).content


def samples_of(data):
    return soundfile.read(io.BytesIO(data), dtype="int16")[0].astype(int)


def as_file(audio, form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, audio.samples.T, audio.sample_rate, format=form)
    return file.getvalue()


def wait_until_idle(url):
    """A place in the queue is free a moment after the work of its request has ended."""
    assert any("amphion_requests_in_work 0.0" in HTTP.get(f"{url}/metrics").text for _ in range(1000))


def error_of(answer):
    return answer.status_code, answer.json()["error"]["message"]


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus", "pcm"])
def test_openais_client_gets_the_same_speech_in_every_format(client, voice, form):
    expected = Audio.concatenate(list(amphion.task("tts", model=str(voice)).stream(TEXT)))
    data = speak(client, response_format=form)
    if form == "pcm":
        found = Audio(np.frombuffer(data, "<i2").astype(np.float32) / 32768, 24000)
    else:
        found = Audio(*soundfile.read(io.BytesIO(data), dtype="float32"))
    assert abs(found.duration - expected.duration) < 0.1  # mp3 and opus have whole frames
    if form in ("wav", "flac"):
        assert np.abs(found.samples - expected.samples).max() < 2e-4  # 16 bits; threads round differently


def test_a_sentence_arrives_before_the_next_is_computed(client):
    with client.audio.speech.with_streaming_response.create(
        model="tiny", voice="default", input=TEXT, response_format="pcm"
    ) as answer:
        parts = [*answer.iter_bytes()]
    assert len(parts) >= 3 and b"".join(parts) == speak(client, response_format="pcm")


def test_the_first_piece_is_sent_while_the_task_still_computes(url):
    Tone.begun.clear()
    with HTTP.stream("POST", f"{url}/v1/tasks/tone", json={}) as answer:  # a tone without an end
        heard = b""
        for part in answer.iter_bytes():
            heard += part
            if len(heard) > 44 + 16000:
                break
    expected = np.rint(Tone.tone(440, 0.5).samples * 32768).astype("<i2").tobytes()
    assert heard[44 : 44 + 16000] == expected


def test_events_hold_the_bytes_of_the_file(url, client):
    body = {"input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    lines = [line for line in HTTP.post(f"{url}/v1/audio/speech", json=body).text.split("\n\n") if line]
    events = [httpx.Response(200, text=line.removeprefix("data: ")).json() for line in lines]
    assert events[-1] == {"type": "speech.audio.done"}
    data = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert data == speak(client, response_format="pcm")


def test_speakers_are_voices_and_speed_changes_the_length(client, url):
    ann, ben, slow = (
        samples_of(speak(client, "No pauses", model="two", voice=voice, speed=speed))
        for voice, speed in (("ann", 1), ("ben", 1), ("ann", 0.25))
    )
    assert not np.array_equal(ann, ben) and len(slow) > 2 * len(ann)  # four times, but for whole frames
    voices = {voice["id"]: voice["model"] for voice in HTTP.get(f"{url}/v1/voices").json()["data"]}
    assert voices["tiny"] == "tiny" and voices["ann"] == voices["ben"] == "two"
    models = {model.id: model for model in client.models.list()}
    assert models["tiny"].task == "tts" and client.models.retrieve("two") == models["two"]


def test_further_fields_are_those_of_the_task(client):
    one, same, other = (speak(client, "Hello.", extra_body={"seed": seed}) for seed in (1, 1, 2))
    assert one == same != other


def test_many_clients_get_their_own_answers(client, voice):
    task = amphion.task("tts", model=str(voice))
    texts = [f"{word} and {word}." for word in ("one", "eleven", "seventy", "a", "hundreds", "six", "ten", "twelve")]
    with ThreadPoolExecutor(8) as pool:
        for text, data in zip(texts, pool.map(lambda text: speak(client, text), texts), strict=True):
            expected = np.rint(task.generate(text).samples * 32768).clip(-32768, 32767).astype(int)
            found = samples_of(data)
            assert len(found) == len(expected) and np.abs(found - expected).max() <= 4


@pytest.mark.parametrize(("text", "option"), [("жук", ""), ("Hi.", "--speaker=bob"), ("Hi.", "--pause=99")])
def test_a_refusal_has_the_sentence_and_the_hint_of_the_command_line(client, voice, capsys, text, option):
    fields = dict([option.removeprefix("--").split("=")]) if option else {}
    with pytest.raises(openai.BadRequestError) as caught:
        speak(client, text, extra_body=fields)
    assert main(["tts", text, "--model", str(voice), *filter(None, [option])]) == 2
    error = caught.value.body
    assert capsys.readouterr().err == f"error: {error['message']}\nhint: {error['hint']}\n"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"model": "nope"}, 404, "no model 'nope'"),
        ({"model": "two", "voice": "annn"}, 404, "no voice 'annn'"),
        ({"model": "two"}, 400, "none is chosen"),
        ({"response_format": "aac"}, 400, "response_format"),
        ({"speed": 9}, 400, "speed"),
        ({"instructions": "Shout."}, 400, "instructions"),
        ({"extra_body": {"sed": 1}}, 400, "did you mean seed"),
        ({"extra_body": {"prompt": "/etc/passwd"}}, 400, "prompt is a file"),
        ({"text": "a" * 101}, 400, "at most 100"),
    ],
)
def test_bad_speech_requests(client, fields, status, words):
    with pytest.raises(openai.APIStatusError) as caught:
        speak(client, **fields)
    assert caught.value.status_code == status and words in caught.value.body["message"]
    assert caught.value.body["hint"]


def test_a_task_of_others_is_served_from_its_request(url):
    (about,) = [task for task in HTTP.get(f"{url}/v1/tasks").json()["data"] if task["id"] == "tone"]
    assert about["request"]["properties"]["hz"]["minimum"] == 20
    form = HTTP.post(f"{url}/v1/tasks/tone", files={"recording": ("my song.wav", as_file(Tone.tone(300, 0.5)))},
                      data={"hz": "600", "seconds": ["0.25", "0.25"]})  # fmt: skip
    address = "data:audio/flac;base64," + base64.b64encode(as_file(Tone.tone(300, 0.5), "FLAC")).decode()
    body = {"recording": address, "hz": 600, "seconds": [0.25, 0.25]}
    json = HTTP.post(f"{url}/v1/tasks/tone?response_format=wav", json=body)
    expected = np.concatenate(
        [Tone.tone(hz, seconds).samples for hz, seconds in ((300, 0.5), (600, 0.25), (600, 0.25))]
    )
    for answer in (form, json):
        assert answer.status_code == 200, answer.text
        assert np.abs(samples_of(answer.content) - np.rint(expected * 32768)).max() <= 1


def test_bad_requests_of_tasks(url):
    post = f"{url}/v1/tasks/tone"
    file = {"recording": ("a b.wav", b"no audio")}
    assert error_of(HTTP.post(f"{url}/v1/tasks/tune")) == (404, "this server offers no task 'tune'")
    assert error_of(HTTP.post(post, json={"hz": 1}))[1].startswith("Tone request: 1 problem\n  hz: ")
    assert error_of(HTTP.post(post, json={"recording": "/etc/passwd"}))[1].startswith("recording is a file")
    assert error_of(HTTP.post(post, files=file))[1].startswith("a_b.wav cannot be read")
    long = {"recording": ("long.flac", as_file(Audio(np.zeros(6 * 16000, np.float32), 16000), "FLAC"))}
    assert error_of(HTTP.post(post, files=long))[1] == "recording lasts 6 seconds, and this server takes at most 5"
    wide = {"recording": ("wide.flac", as_file(Audio(np.zeros((8, 4 * 48000), np.float32), 48000), "FLAC"))}
    assert error_of(HTTP.post(post, files=wide))[1].startswith("the recordings have 1,536,000 samples")
    for content in (b"{", b"[]", b"\xff"):
        assert error_of(HTTP.post(post, content=content))[0] == 400
    hint = HTTP.post(post, content=b"[]").json()["error"]["hint"]
    assert hint == "send an object, or a form with files"  # names no field, because the tasks have different fields
    assert error_of(HTTP.post(post, content=b" " * 400_000))[0] == 413
    assert HTTP.post(post, json={"seconds": [0.1]}).status_code == 200  # also after a body that was too large
    parts = (b" " * 100_000 for _ in range(4))  # without a stated length
    assert error_of(HTTP.post(post, content=parts))[0] == 413
    assert error_of(HTTP.get(f"{url}/nothing"))[0] == 404
    assert error_of(HTTP.get(post))[0] == 405


def test_a_pair_of_files_is_evaluated(url):
    files = {"generated": Tone.tone(300, 0.5), "reference": Tone.tone(300, 0.5)}
    given = {name: (f"{name}.wav", as_file(audio)) for name, audio in files.items()}
    found = HTTP.post(f"{url}/v1/evaluate", files=given, data={"metrics": "mcd,pesq_wb"}, timeout=60).json()
    assert found["scores"]["mcd"]["value"] == pytest.approx(0, abs=1e-6) and found["scores"]["mcd"]["unit"] == "dB"
    assert error_of(HTTP.post(f"{url}/v1/evaluate", files=given)) == (400, "no metric is named")
    assert error_of(HTTP.post(f"{url}/v1/evaluate", json={"metrics": 5})) == (400, "metrics: names are needed")
    assert error_of(HTTP.post(f"{url}/v1/evaluate", files=given, data={"metrics": "mdc"}))[0] == 404


def test_a_client_that_goes_away_stops_its_work(url):
    Tone.closed.clear()
    with HTTP.stream("POST", f"{url}/v1/tasks/tone", json={}) as answer:
        next(answer.iter_bytes())
    assert Tone.closed.wait(PATIENCE)
    wait_until_idle(url)


def test_a_full_queue_and_a_long_request_are_refused(settings):
    with running(replace(settings, queue=1, timeout=2)) as url:
        Tone.begun.clear(), Tone.closed.clear()
        with HTTP.stream("POST", f"{url}/v1/tasks/tone", json={}) as first:
            refused = HTTP.post(f"{url}/v1/tasks/tone", json={"seconds": [1]})
            assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
            assert "1 requests" in error_of(refused)[1]
            with pytest.raises(httpx.RemoteProtocolError):  # after the time limit the answer ends without its end
                for _ in first.iter_bytes():
                    pass
        assert Tone.closed.wait(PATIENCE)
        wait_until_idle(url)
        assert HTTP.post(f"{url}/v1/tasks/tone", json={"seconds": [1]}).status_code == 200


def test_a_full_queue_answers_before_the_body_is_sent(settings):
    with running(replace(settings, queue=1)) as url:
        with HTTP.stream("POST", f"{url}/v1/tasks/tone", json={}) as first:
            next(parts := first.iter_bytes())  # which stays open
            with socket.create_connection(("127.0.0.1", httpx.URL(url).port), timeout=60) as client:
                client.sendall(b"POST /v1/tasks/tone HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 200000\r\n\r\n")
                head = client.recv(1 << 16)  # nothing of the body was sent
                client.sendall(b" " * 200_000)
            whole = HTTP.post(f"{url}/v1/tasks/tone", content=b" " * 250_000)  # a client that sends everything first
            next(parts)
        assert head.startswith(b"HTTP/1.1 503 ") and b"retry-after: 2" in head.lower()
        assert error_of(whole)[0] == 503
        wait_until_idle(url)


def no_room(*args, **fields):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/place")


def test_a_failure_of_the_server_is_no_error_of_the_client(url, monkeypatch):
    post, file = f"{url}/v1/tasks/tone", {"recording": ("a.wav", as_file(Tone.tone(300, 0.1)))}
    monkeypatch.setattr("amphion_core.serving.fields.TemporaryDirectory", no_room)
    assert error_of(HTTP.post(post, files=file)) == (503, "the disk of the server is full")
    assert HTTP.post(post, json={"seconds": [0.1]}).status_code == 200  # a request without files needs no disk
    for error, status, words in (
        (PermissionError(errno.EACCES, "Permission denied", "/secret/place"), 500, "Permission denied"),
        (MemoryError(), 503, "not enough memory"),
        (ZeroDivisionError("secret"), 500, "unexpected ZeroDivisionError"),
    ):
        monkeypatch.setattr(Tone, "tone", functools.partial(fail, error))
        answer = HTTP.post(post, json={"seconds": [0.1]})
        assert error_of(answer)[0] == status and words in error_of(answer)[1] and "secret" not in answer.text


def fail(error, *args):
    raise error


def test_a_key_is_needed_where_one_is_set(settings):
    with running(replace(settings, key="a-secret-key")) as url:
        assert HTTP.get(f"{url}/health").json()["status"] == "ok"
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic a-secret-key"}):
            assert error_of(HTTP.get(f"{url}/v1/models", headers=headers))[0] == 401
        counted = HTTP.get(f"{url}/metrics", headers={"authorization": "Bearer a-secret-key"}).text
        assert 'amphion_requests_total{path="other",status="401"} 3.0' in counted
        with openai.OpenAI(base_url=f"{url}/v1", api_key="a-secret-key") as client:
            assert client.models.list().data


def test_pages_of_other_sites_are_refused(url):
    for headers in ({"host": "example.org"}, {"host": "["}, {"origin": "https://example.org"}, {"origin": "null"}):
        assert error_of(HTTP.get(f"{url}/v1/models", headers=headers))[0] == 403
    assert HTTP.get(f"{url}/v1/models", headers={"origin": url}).status_code == 200
