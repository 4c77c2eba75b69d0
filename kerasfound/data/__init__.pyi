from .dataset import Dataset as Dataset
from .dataset import Split as Split
from .description import describe as describe
from .named_tables import TABLES as TABLES
from .registry import SOURCES as SOURCES
from .registry import load as load
from .tables import load_table as load_table
from .text_corpus import windows as windows
