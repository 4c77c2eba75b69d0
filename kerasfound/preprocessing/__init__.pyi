from .characters import encode_characters as encode_characters
from .table_rows import decode_row as decode_row
from .table_rows import encode_rows as encode_rows
from .text_vectorizer import TextVectorizer as TextVectorizer
from .text_vectorizer import load_vectorizer as load_vectorizer
from .tokenizer import UNKNOWN as UNKNOWN
from .tokenizer import encode_texts as encode_texts
from .tokenizer import train_tokenizer as train_tokenizer
