"""The layers of introductory deep learning, one file per idea."""

from kerasfound.layers.attention import DotProductAttention as DotProductAttention
from kerasfound.layers.attention import MultiHeadAttention as MultiHeadAttention
from kerasfound.layers.attention import attention_weights as attention_weights
from kerasfound.layers.attention import combine_masks as combine_masks
from kerasfound.layers.attention import scaled_dot_product_attention as scaled_dot_product_attention
from kerasfound.layers.position import LearnedPosition as LearnedPosition
from kerasfound.layers.position import RotaryPosition as RotaryPosition
from kerasfound.layers.position import SinusoidalPosition as SinusoidalPosition
from kerasfound.layers.recurrent import GRU as GRU
from kerasfound.layers.recurrent import LSTM as LSTM
from kerasfound.layers.recurrent import Bidirectional as Bidirectional
from kerasfound.layers.recurrent import GRUCell as GRUCell
from kerasfound.layers.recurrent import LSTMCell as LSTMCell
from kerasfound.layers.recurrent import SimpleRNN as SimpleRNN
from kerasfound.layers.recurrent import SimpleRNNCell as SimpleRNNCell

__all__ = [
    "GRU",
    "LSTM",
    "Bidirectional",
    "DotProductAttention",
    "GRUCell",
    "LSTMCell",
    "LearnedPosition",
    "MultiHeadAttention",
    "RotaryPosition",
    "SimpleRNN",
    "SimpleRNNCell",
    "SinusoidalPosition",
    "attention_weights",
    "combine_masks",
    "scaled_dot_product_attention",
]
