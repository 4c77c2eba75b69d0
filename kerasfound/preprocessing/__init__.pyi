from .characters import encode as encode
from .table_rows import decode as decode
from .table_rows import encode_rows as encode_rows
from .tokenizer import UNKNOWN as UNKNOWN
from .tokenizer import encode_texts as encode_texts
from .tokenizer import train_tokenizer as train_tokenizer
