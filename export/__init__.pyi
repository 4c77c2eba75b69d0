from . import manifest as manifest
from .bundles import bundle as bundle
from .explanation import explain as explain
from .files import load as load
from .files import onnx as onnx
from .files import saved_model as saved_model
from .repository import version_folder as version_folder
from .verification import verify as verify
