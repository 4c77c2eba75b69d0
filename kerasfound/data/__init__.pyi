from .dataset import Dataset as Dataset
from .dataset import Schema as Schema
from .dataset import Split as Split
from .registry import SOURCES as SOURCES
from .registry import load as load
from .texts import encode as encode
from .texts import windows as windows
