"""Characters per second of text generation with a run of `mini_transformer`, with and without the key-value cache.

    kerasfound run mini_transformer --data stdlib --out R/gpt
    python benchmarks/generation.py R/gpt

Keras generates as in `kerasfound generate`, ONNX Runtime on one thread as in `kerasfound serve`. All generators
alternate in every round and generate the same greedy text. A ratio is the median over the rounds.
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
        length: characters that each generator writes in a round.
        rounds: number of rounds.
    """
    trained = kf.training.Run.open(run)
    prompt = trained.schema.labels[0] * 2
    with tempfile.TemporaryDirectory() as folder:
        bundle = kf.export.bundle(trained, folder, name="generator")
        generators: dict[str, Callable[[], Iterator[str]]] = {
            "Keras, whole window": lambda: kf.training.generate(trained, prompt, length, 0, cache=False),
            "Keras, cache": lambda: kf.training.generate(trained, prompt, length, 0),
            "ONNX Runtime, whole window": lambda: generate_without_cache(trained, bundle, prompt, length),
            "ONNX Runtime, cache": lambda: generate_with_cache(bundle, prompt, length),
        }
        seconds: dict[str, list[float]] = {name: [] for name in generators}
        for _ in range(rounds):
            texts = {name: timed(generate, seconds[name]) for name, generate in generators.items()}
            if len(set(texts.values())) > 1:
                raise SystemExit(f"the texts differ: {texts}")
    window, first = trained.settings["block_size"], seconds["Keras, whole window"]
    print(f"window {window}, {rounds} rounds of {length} characters\n")
    print("| | characters per second | times Keras, whole window |")
    print("|---|---|---|")
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(first, times, strict=True))
        print(f"| {name} | {(length - COMPILING) / statistics.median(times):.0f} | {ratio:.2f} |")


def timed(generate: Callable[[], Iterator[str]], seconds: list[float]) -> str:
    """Return the text. The first characters are not timed: they open the model and compile its two steps."""
    pieces = generate()
    text = "".join(itertools.islice(pieces, COMPILING))
    started = time.perf_counter()
    text += "".join(pieces)
    seconds.append(time.perf_counter() - started)
    return text


def generate_with_cache(bundle: Path, prompt: str, length: int) -> Iterator[str]:
    manifest = kf.bundle.manifest.read(bundle / "manifest.json")
    assert manifest.text_generation
    generator = TextGenerator(manifest, open_session(bundle / manifest.text_generation.file))
    return generator.generate(prompt, SamplingParameters(max_tokens=length, temperature=0.0))


def generate_without_cache(run: kf.training.Run, bundle: Path, prompt: str, length: int) -> Iterator[str]:
    model, labels = open_session(bundle / "model.onnx"), run.schema.labels
    (tokens,) = model.get_inputs()

    def next_logits(ids: list[int], cached: int) -> np.ndarray:
        (logits,) = model.run(None, {tokens.name: np.array([ids], "int32")})
        return logits[0, -1]

    def likeliest(logits: np.ndarray) -> int:
        return sample_token(logits, 0, None, None, np.random.default_rng())

    prompt_ids = [labels.index(character) for character in prompt]
    generated = generate_tokens(next_logits, prompt_ids, run.settings["block_size"], likeliest)
    return (labels[i] for i in itertools.islice(generated, length))


if __name__ == "__main__":
    app()
