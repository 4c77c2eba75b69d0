"""The layers of introductory deep learning, one file per idea."""

from kerasfound.layers.recurrent import GRU as GRU
from kerasfound.layers.recurrent import LSTM as LSTM
from kerasfound.layers.recurrent import Bidirectional as Bidirectional
from kerasfound.layers.recurrent import GRUCell as GRUCell
from kerasfound.layers.recurrent import LSTMCell as LSTMCell
from kerasfound.layers.recurrent import SimpleRNN as SimpleRNN
from kerasfound.layers.recurrent import SimpleRNNCell as SimpleRNNCell

__all__ = ["GRU", "LSTM", "Bidirectional", "GRUCell", "LSTMCell", "SimpleRNN", "SimpleRNNCell"]
