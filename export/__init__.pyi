from .bundle_writer import bundle as bundle
from .dry_run import explain as explain
from .formats import onnx as onnx
from .formats import saved_model as saved_model
from .keras_archive import load as load
from .options import ExportOptions as ExportOptions
from .verification.verify import verify as verify
