"""Characters a second that a run of `mini_transformer` writes, with and without its key-value cache.

    kerasfound run mini_transformer --data stdlib --out R/gpt
    python benchmarks/generation.py R/gpt

Keras, as `kerasfound generate` writes, and ONNX Runtime on one thread, as `kerasfound serve` does. All take turns in
every round and write the same text, the likeliest; a ratio is the median over the rounds.
"""

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cyclopts
import numpy as np

import kerasfound as kf
from kerasfound.sampling import generate_tokens, sample_token
from kerasfound.serving.model import open_session
from kerasfound.serving.text_generation import SamplingParameters, TextGenerator

COMPILING = 2
app = cyclopts.App()


@app.default
def main(run: Path, length: int = 200, rounds: int = 7) -> None:
    """Print the table.

    Args:
        run: a run folder.
        length: characters written in a round.
        rounds: how often each writes.
    """
    opened = kf.training.Run.open(run)
    prompt = opened.schema.labels[0] * 2
    with tempfile.TemporaryDirectory() as folder:
        bundle = kf.export.bundle(opened, folder, name="writer")
        writers: dict[str, Callable[[], Iterator[str]]] = {
            "Keras, whole window": lambda: kf.training.generate(opened, prompt, length, 0, cache=False),
            "Keras, cache": lambda: kf.training.generate(opened, prompt, length, 0),
            "ONNX Runtime, whole window": lambda: recomputing(opened, bundle, prompt, length),
            "ONNX Runtime, cache": lambda: remembering(bundle, prompt, length),
        }
        seconds: dict[str, list[float]] = {name: [] for name in writers}
        for _ in range(rounds):
            texts = {name: timed(writer, seconds[name]) for name, writer in writers.items()}
            if len(set(texts.values())) > 1:
                raise SystemExit(f"the texts differ: {texts}")
    window, first = opened.settings["block_size"], seconds["Keras, whole window"]
    print(f"window {window}, {rounds} rounds of {length} characters\n")
    print("| | characters a second | times Keras, whole window |")
    print("|---|---|---|")
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(first, times, strict=True))
        print(f"| {name} | {(length - COMPILING) / statistics.median(times):.0f} | {ratio:.2f} |")


def timed(write: Callable[[], Iterator[str]], seconds: list[float]) -> str:
    """The text; the first characters, for which a model is opened and its two steps compiled, are not timed."""
    pieces = write()
    text = "".join(itertools.islice(pieces, COMPILING))
    started = time.perf_counter()
    text += "".join(pieces)
    seconds.append(time.perf_counter() - started)
    return text


def remembering(bundle: Path, prompt: str, length: int) -> Iterator[str]:
    manifest = kf.bundle.manifest.read(bundle / "manifest.json")
    assert manifest.text_generation
    generator = TextGenerator(manifest, open_session(bundle / manifest.text_generation.file))
    return generator.generate(prompt, SamplingParameters(max_tokens=length, temperature=0.0))


def recomputing(run: kf.training.Run, bundle: Path, prompt: str, length: int) -> Iterator[str]:
    opened, labels = open_session(bundle / "model.onnx"), run.schema.labels
    (ids,) = opened.get_inputs()

    def answer(known: list[int], seen: int) -> np.ndarray:
        (logits,) = opened.run(None, {ids.name: np.array([known], "int32")})
        return logits[0, -1]

    known = [labels.index(character) for character in prompt]
    rng = np.random.default_rng()
    drawn = generate_tokens(answer, known, run.settings["block_size"], lambda z: sample_token(z, 0, None, None, rng))
    return (labels[number] for number, _ in zip(drawn, range(length), strict=False))


if __name__ == "__main__":
    app()
