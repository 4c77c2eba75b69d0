"""Models that begin with `TextVectorization`: the layer becomes a step of the bundle, and ONNX holds the rest.

ONNX has no operation that splits a text, so the ONNX file takes what the layers return. The SavedModel takes texts.
"""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasfound.bundle.manifest import SERVING_DEFAULT, NamedSignature, ProcessingStep, Tensor
from kerasfound.bundle.recorded_cases import RecordedCase, Tensors
from kerasfound.errors import UserError
from kerasfound.preprocessing import TextVectorizer

from ..options import ExportOptions
from ..tracing import traced_model
from ..tracing.traced_model import Signature
from ..tracing.unsupported import UnsupportedLayer, UnsupportedModelError, all_layers, describe_layer
from ..verification import verify
from ..verification.verify import ExpectedOutputs
from .signatures import ExtraSignature

STEP = "text_vectorization"
REASON = "a bundle has it as a step before the ONNX file, which takes its output"
HIDDEN = "it calls TextVectorization in its own code, where no export can take it out"
SPLIT = "pass each text input to a TextVectorization layer, and its output to the rest of a functional model"
USE_BUNDLE = "call kerasfound.export.bundle, which keeps TextVectorization as a step before the ONNX file"
USE_OPTIONS = "use one of the values that Keras names, and change the texts before the model"
EDGE_CASES = (
    "A <br /><br />GREAT film -- isn't it?! 10/10.",
    "It\N{RIGHT SINGLE QUOTATION MARK}s cr\u00e8me br\u00fbl\u00e9e\N{NO-BREAK SPACE}\u2026 na\u00efve_one \u00bd",
    "\u039f\u0394\u039f\u03a3 \u0130stanbul STRA\u00dfE \u6620\u753b \U0001f600 x\u00b2 a\u0301",
    "tab\tline\r\nfeed\x0b\x0c \x1c\x85 \u2028 [UNK]",
    "",
    " \t\n",
)
"""Texts that test how a text is changed and split."""
WORDS_OF_A_TEXT = 7


@dataclasses.dataclass(frozen=True)
class VectorizedText:
    """One call of a `TextVectorization` layer.

    Args:
        text: the name of the input with the texts.
        tensor: the name of the input that the rest of the model has instead.
        layer: returns it from the texts.
        vectorizer: does the same without Keras.
    """

    text: str
    tensor: str
    layer: keras.layers.TextVectorization
    vectorizer: TextVectorizer

    @property
    def file(self) -> str:
        """The asset with the vocabulary."""
        return f"assets/{self.tensor}.vectorizer.json"

    def encode(self, texts: np.ndarray) -> np.ndarray:
        """Return the output of the layer.

        Raises:
            UserError: if the vectorizer has another output.
        """
        expected = np.asarray(self.layer(texts.astype(object)))
        for text, row, other in zip(texts.ravel(), expected, self.vectorizer.encode([*texts.ravel()]), strict=True):
            if not np.array_equal(row, other):
                raise UserError(f"{describe_layer(self.layer)}: kerasfound has other tokens than Keras for {text!r}.")
        return expected.astype(self.vectorizer.dtype)


@dataclasses.dataclass(frozen=True)
class SplitModel:
    """A model and its parts: the calls of `TextVectorization` layers, and the rest.

    Args:
        whole: the model, which takes texts.
        signature: its inputs and outputs.
        texts: one for each call of a layer.
        rest: takes the outputs of these calls. It shares the weights of the model.
    """

    whole: keras.Model
    signature: Signature
    texts: list[VectorizedText]
    rest: keras.Model

    def encode(self, inputs: Tensors) -> Tensors:
        """Return the inputs of the rest from those of the whole model."""
        encoded = {text.tensor: text.encode(inputs[text.text]) for text in self.texts}
        names = [x.name for x in traced_model.input_tensors(self.rest)]
        return {name: encoded[name] if name in encoded else inputs[name] for name in names}

    def steps(self) -> list[ProcessingStep]:
        """The steps of the manifest, one for each input that texts become."""
        return [ProcessingStep(STEP, text.file, {"input": text.tensor, "text": text.text}) for text in self.texts]

    def save_assets(self, folder: Path) -> None:
        """Write the settings and the vocabulary of each step."""
        (folder / "assets").mkdir(exist_ok=True)
        for text in self.texts:
            text.vectorizer.save(folder / text.file)

    def with_texts(self, expected: ExpectedOutputs) -> ExpectedOutputs:
        """Add a case whose texts are edge cases and rows of several known words."""
        like = max((case.inputs for case in expected.cases), key=lambda inputs: len(inputs[self.texts[0].text]))
        inputs = like | {text.text: _texts(text.vectorizer, like[text.text]) for text in self.texts}
        function = traced_model.reference_function(self.whole)
        outputs = function(*(inputs[x.name] for x in self.signature.inputs))
        case = RecordedCase("texts", inputs, {name: np.asarray(y) for name, y in outputs.items()})
        return expected._replace(cases=[*expected.cases, case])

    def saved_model(self, expected: ExpectedOutputs) -> ExtraSignature:
        """The signature of the SavedModel, which takes texts."""
        signature = NamedSignature(SERVING_DEFAULT, "saved_model", self.signature.inputs, self.signature.outputs)
        return ExtraSignature(signature, expected._replace(signature=signature))

    def onnx_outputs(self, of_texts: ExpectedOutputs, signature: Signature) -> ExpectedOutputs:
        """The expected outputs of the ONNX file: those of the texts, and those of generated inputs."""
        generated = verify.expected_outputs(self.rest, signature, ExportOptions(tolerance=of_texts.tolerance))
        encoded = [RecordedCase(case.kind, self.encode(case.inputs), case.outputs) for case in of_texts.cases]
        cases = [case for case in encoded if all(x.size for x in case.inputs.values())]  # no text has a token
        return generated._replace(cases=[*cases, *generated.cases])


def check_vectorizers(model: keras.Model) -> None:
    """Raise an `UnsupportedModelError` if the code of a model calls `TextVectorization`. This needs no signature."""
    if has_vectorizer(model) and not hasattr(model, "inputs"):
        raise _unsupported(model, HIDDEN, SPLIT)


def refuse_vectorizers(model: keras.Model) -> None:
    """Raise an `UnsupportedModelError` if a model has `TextVectorization`, for an ONNX file alone."""
    if has_vectorizer(model):
        raise _unsupported(model, "it begins with texts, which ONNX cannot split", USE_BUNDLE)


def split(model: keras.Model, signature: Signature) -> SplitModel:
    """Take the `TextVectorization` layers out of a model.

    Args:
        model: functional or Sequential.
        signature: its inputs and outputs.

    Raises:
        UnsupportedModelError: naming the layer that cannot become a step.
    """
    names = _Splitter(model, signature).tensor_names()
    return _Splitter(model, signature, names).split()


class _Splitter:
    """Calls the layers of a model once more, with new inputs in place of the outputs of `TextVectorization`."""

    def __init__(self, model: keras.Model, signature: Signature, names: dict[tuple[str, int], str] | None = None):
        self.model = model
        self.signature = signature
        self.names = names or {}
        self.raw = {x.name: _symbolic_input(x) for x in signature.inputs}
        self.used: set[int] = set()
        self.calls: dict[tuple[str, int], tuple[keras.layers.TextVectorization, keras.KerasTensor]] = {}
        self.copies: dict[int, Any] = {}
        structure = self._call(model, traced_model.pack_inputs(model, [*self.raw.values()]))
        self.outputs = [y for _, y in traced_model.flatten_with_paths(structure) if y is not None]

    def tensor_names(self) -> dict[tuple[str, int], str]:
        """The name of the text, where the rest of the model has one input instead of it; else that of the layer."""
        counts = Counter(text for text, _ in self.calls)
        names, taken = {}, set(self.raw)
        for (text, key), (layer, _) in self.calls.items():
            is_only = counts[text] == 1 and id(self.raw[text]) not in self.used
            names[text, key] = text if is_only else traced_model.unique_name(layer.name, taken)
        return names

    def split(self) -> SplitModel:
        texts = [
            VectorizedText(text, self.names[text, key], layer, _vectorizer(layer))
            for (text, key), (layer, _) in self.calls.items()
        ]
        inputs = {name: x for name, x in self.raw.items() if id(x) in self.used}
        inputs |= {self.names[call]: tensor for call, (_, tensor) in self.calls.items()}
        order = sorted(inputs, key=lambda name: [*self.raw, name].index(name))
        outputs = dict(zip((y.name for y in self.signature.outputs), self.outputs, strict=True))
        rest = keras.Model({name: inputs[name] for name in order}, outputs, name=self.model.name)
        return SplitModel(self.model, self.signature, texts, rest)

    def _call(self, model: keras.layers.Layer, inputs: Any) -> Any:
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                inputs = self._apply(layer, inputs)
            return inputs
        if not hasattr(model, "operations"):
            raise _unsupported(model, HIDDEN, SPLIT)
        return model._run_through_graph(inputs, call_fn=self._apply)  # no public method calls each operation

    def _apply(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, keras.layers.TextVectorization):
            return self._take_out(operation, *args)
        if has_vectorizer(operation):
            return self._call(operation, *args)
        self.used |= {id(x) for x in keras.tree.flatten((args, kwargs))}
        return self._copy(operation)(*args, **kwargs)

    def _take_out(self, layer: keras.layers.TextVectorization, texts: Any) -> keras.KerasTensor:
        """Return a new input in place of the output of the layer."""
        name = next((name for name, x in self.raw.items() if x is texts), None)
        if name is None:
            raise _unsupported(layer, "its texts are not an input of the model", SPLIT)
        if tuple(texts.shape[1:]) not in (((1,),) if layer.get_config()["split"] is None else ((), (1,))):
            raise _unsupported(
                layer, f"it takes texts of shape {tuple(texts.shape)}", "use keras.Input((1,)) for texts"
            )
        if (name, id(layer)) not in self.calls:
            vectorizer = _vectorizer(layer)
            width = vectorizer.length if vectorizer.output_mode == "int" else vectorizer.size
            tensor = keras.Input((width,), dtype=vectorizer.dtype, name=self.names.get((name, id(layer))))
            self.calls[name, id(layer)] = layer, tensor
        return self.calls[name, id(layer)][1]

    def _copy(self, operation: Any) -> Any:
        """A shallow copy: it has the same weights. The calls here must not become part of the user's layers."""
        if id(operation) not in self.copies:
            copy = object.__new__(type(operation))
            vars(copy).update(vars(operation), _inbound_nodes=[], _outbound_nodes=[])
            self.copies[id(operation)] = copy
        return self.copies[id(operation)]


def has_vectorizer(operation: Any) -> bool:
    """Whether a layer is a `TextVectorization` layer, or one is inside it."""
    layers = all_layers(operation) if isinstance(operation, keras.layers.Layer) else []
    return any(isinstance(layer, keras.layers.TextVectorization) for layer in layers)


def _symbolic_input(tensor: Tensor) -> keras.KerasTensor:
    shape = [None if isinstance(size, str) else size for size in tensor.shape]
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)


def _vectorizer(layer: keras.layers.TextVectorization) -> TextVectorizer:
    """Read the settings of a layer.

    Raises:
        UnsupportedModelError: naming the argument that has no equivalent without TensorFlow.
    """
    config = layer.get_config()
    mode, ngrams = config["output_mode"], config["ngrams"]
    one_token = config["split"] is None and ngrams is None
    for argument in ("standardize", "split"):
        if callable(config[argument]):
            raise _unsupported(layer, f"its {argument} is Python code, which no file can hold", USE_OPTIONS)
    if config["ragged"] or config["encoding"].lower() != "utf-8" or (mode == "one_hot" and not one_token):
        given = {name: config[name] for name in ("ragged", "encoding", "output_mode")}
        raise _unsupported(
            layer, f"its output has no fixed form ({given})", "use output_mode='int', dense and in UTF-8"
        )
    vocabulary = [str(word) for word in layer.get_vocabulary()]
    weights = layer._lookup_layer.idf_weights.numpy().tolist() if mode == "tf_idf" else []  # Keras does not show them
    return TextVectorizer(
        vocabulary,
        "multi_hot" if mode == "one_hot" else mode,
        config["standardize"],
        config["split"],
        list(range(1, ngrams + 1)) if isinstance(ngrams, int) else list(ngrams or ()),
        config["output_sequence_length"],
        0 if mode == "int" else config["max_tokens"] if config["pad_to_max_tokens"] else len(vocabulary),
        weights,
    )


def _unsupported(layer: keras.layers.Layer, reason: str, fix: str) -> UnsupportedModelError:
    return UnsupportedModelError([UnsupportedLayer(describe_layer(layer), reason, fix)], "ONNX")


def _texts(vectorizer: TextVectorizer, like: np.ndarray) -> np.ndarray:
    """Return edge cases and texts of known words, as many as `like` has."""
    rng = np.random.default_rng(0)
    words = [word for word in vectorizer.vocabulary if word]
    texts = [*EDGE_CASES, *(" ".join(rng.choice(words, WORDS_OF_A_TEXT)) for _ in range(like.size))]
    return np.array(texts[: like.size], dtype=str).reshape(like.shape)
