from . import manifest as manifest
from .layout import version_folder as version_folder
from .schema import Column as Column
from .schema import ColumnKind as ColumnKind
from .schema import Schema as Schema
from .schema import Task as Task
