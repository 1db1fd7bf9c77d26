"""VITS on a CPU with real weights, against transformers' VitsModel and onnxruntime, with the same ids and no noise.

benchmarks/short_texts.py measures texts of every length.

Needs the extra amphion-tts[voice], onnxruntime and transformers. Run: python benchmarks/vits.py
"""

import torch
from side_by_side import medians

import amphion_core as amphion
from amphion_core import cards
from amphion_core.precision import bf16_is_fast

TEXT = "The old lighthouse keeper climbed the stairs every evening before sunset, and lit the lamp himself."


def against_transformers(threads: int) -> None:
    """A network of MMS's size with random weights, because transformers has no decoder of the voice's kind."""
    from transformers import VitsConfig, VitsModel

    torch.manual_seed(0)
    config = VitsConfig(vocab_size=40, noise_scale=0.0, noise_scale_duration=0.0, speaking_rate=0.5)
    theirs = VitsModel(config).eval()
    ours = amphion.import_model("tts/vits", theirs.state_dict(), layout="transformers", config=config.to_dict())
    ids, lengths = torch.randint(1, 40, (1, 100)), torch.tensor([100])
    with torch.inference_mode():
        times = medians({"ours": lambda: ours.synthesize(ids, lengths), "transformers": lambda: theirs(ids)})
        one, other = ours.synthesize(ids, lengths).wave, theirs(ids).waveform
    difference = float((one - other).abs().max())
    seconds = one.shape[1] / 16000
    ratio = times["transformers"] / times["ours"]
    print(f"{threads} thread(s), size of MMS, {seconds:.1f} s of audio: {ratio:.2f} x as fast as transformers")
    print(f"  ({times['ours']:.3f} s and {times['transformers']:.3f} s), greatest difference {difference:.1e}")


def main() -> None:
    import onnxruntime

    net = amphion.load("tts/vits@piper-en-us-joe")
    frontend = net.config.frontend.build()
    row = frontend.ids(frontend.tokens(TEXT))
    ids, lengths = torch.tensor([row]), torch.tensor([len(row)])
    quiet = net.controls({"noise_scale": 0.0, "duration_noise_scale": 0.0})
    feeds = {"input": ids.numpy(), "input_lengths": lengths.numpy(), "scales": torch.tensor([0.0, 1.0, 0.0]).numpy()}
    path = str(cards.find("tts/vits@piper-en-us-joe").path())
    rough = amphion.load("tts/vits@piper-en-us-joe", precision="bf16") if bf16_is_fast(torch.device("cpu")) else None
    for threads in (1, 2):
        torch.set_num_threads(threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options)
        candidates = {
            "ours": lambda: net.synthesize(ids, lengths, controls=quiet),
            "onnxruntime": lambda session=session: session.run(None, feeds),
        }
        if rough is not None:
            candidates["ours, bf16"] = lambda: rough.synthesize(ids, lengths, controls=quiet)
        with torch.inference_mode():
            times = medians(candidates)
        wave = net.synthesize(ids, lengths, controls=quiet).wave[0]
        difference = float((wave - torch.from_numpy(session.run(None, feeds)[0]).flatten()).abs().max())
        seconds = len(wave) / net.config.mel.sample_rate
        print(f"{threads} thread(s), {seconds:.1f} s of audio; greatest difference to onnxruntime {difference:.1e}")
        for name, value in times.items():
            factor, ratio = value / seconds, times["ours"] / value
            print(f"  {name:13} {value:.3f} s, real-time factor {factor:.3f}, {ratio:.2f} x our speed")
        against_transformers(threads)


if __name__ == "__main__":
    main()
