"""`config.pbtxt`, by which Triton Inference Server reads the same folder."""

import json

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Manifest, Tensor
from kerasfound.errors import UserError

LARGEST_BATCH = 64


def config(manifest: Manifest) -> str:
    """The manifest's tensors in Triton's text format.

    Where the first size of every tensor is the batch, Triton adds it, and puts requests together. It knows no tensor
    without sizes: of such a one it is told the shape [1], and to reshape it.
    """
    tensors = [*manifest.inputs, *manifest.outputs]
    batched = all(x.shape and isinstance(x.shape[0], str) for x in tensors)
    batching = f"max_batch_size: {LARGEST_BATCH}\ndynamic_batching {{ }}\n" if batched else "max_batch_size: 0\n"

    def block(kind: str, tensors: list[Tensor]) -> str:
        return f"{kind} [\n" + ",\n".join(_tensor(x, batched) for x in tensors) + "\n]\n"

    head = f'name: "{manifest.name}"\nbackend: "onnxruntime"\n{batching}'
    return head + block("input", manifest.inputs) + block("output", manifest.outputs)


def _tensor(tensor: Tensor, batched: bool) -> str:
    if tensor.dtype not in DTYPES:
        raise UserError(
            f"{tensor.name} is of {tensor.dtype}, which no engine serves; give it one of {', '.join(DTYPES)}."
        )
    sizes = [-1 if isinstance(size, str) else size for size in tensor.shape[batched:]]
    dims = f"dims: {sizes}" if sizes else "dims: [1] reshape { shape: [] }"
    return (
        f"  {{ name: {json.dumps(tensor.name, ensure_ascii=False)} data_type: {DTYPES[tensor.dtype].triton} {dims} }}"
    )
