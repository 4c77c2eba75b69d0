from . import manifest as manifest
from .bundles import bundle as bundle
from .explanation import explain as explain
from .graphs import onnx as onnx
from .graphs import saved_model as saved_model
from .verification import verify as verify
from .verification import version_folder as version_folder
