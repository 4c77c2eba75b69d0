"""Writes `config.pbtxt`, which Triton Inference Server needs to serve the same folder."""

import json

from kerasfound.bundle.dtypes import DTYPES
from kerasfound.bundle.manifest import Manifest, Tensor
from kerasfound.errors import UserError

LARGEST_BATCH = 64


def config(manifest: Manifest) -> str:
    """Return the tensors of the manifest in Triton's text format.

    If the first dimension of every tensor is the batch, the file leaves it out and Triton batches requests. Triton has
    no scalars: for a scalar, the file declares the shape [1] and a reshape.

    Raises:
        UserError: if Triton has no type for the dtype of a tensor.
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
            f"{tensor.name} has dtype {tensor.dtype}, which Triton cannot serve; cast it to one of {', '.join(DTYPES)}."
        )
    sizes = [-1 if isinstance(size, str) else size for size in tensor.shape[batched:]]
    dims = f"dims: {sizes}" if sizes else "dims: [1] reshape { shape: [] }"
    name = json.dumps(tensor.name, ensure_ascii=False)
    return f"  {{ name: {name} data_type: {DTYPES[tensor.dtype].triton} {dims} }}"
