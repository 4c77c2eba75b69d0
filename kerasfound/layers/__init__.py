"""The layers of introductory deep learning, one file per idea."""

from kerasfound.layers.activation import ELU as ELU
from kerasfound.layers.activation import GELU as GELU
from kerasfound.layers.activation import LeakyReLU as LeakyReLU
from kerasfound.layers.activation import Linear as Linear
from kerasfound.layers.activation import LogSoftmax as LogSoftmax
from kerasfound.layers.activation import ReLU as ReLU
from kerasfound.layers.activation import Sigmoid as Sigmoid
from kerasfound.layers.activation import Sign as Sign
from kerasfound.layers.activation import SiLU as SiLU
from kerasfound.layers.activation import Softmax as Softmax
from kerasfound.layers.activation import Softplus as Softplus
from kerasfound.layers.activation import SquaredReLU as SquaredReLU
from kerasfound.layers.activation import Step as Step
from kerasfound.layers.activation import Swish as Swish
from kerasfound.layers.activation import Tanh as Tanh
from kerasfound.layers.attention import CausalSelfAttention as CausalSelfAttention
from kerasfound.layers.attention import DotProductAttention as DotProductAttention
from kerasfound.layers.attention import MultiHeadAttention as MultiHeadAttention
from kerasfound.layers.attention import attention_weights as attention_weights
from kerasfound.layers.attention import combine_masks as combine_masks
from kerasfound.layers.attention import scaled_dot_product_attention as scaled_dot_product_attention
from kerasfound.layers.convolution import Conv2D as Conv2D
from kerasfound.layers.convolution import im2col as im2col
from kerasfound.layers.dense import Dense as Dense
from kerasfound.layers.embedding import Embedding as Embedding
from kerasfound.layers.embedding import FactorizedInteraction as FactorizedInteraction
from kerasfound.layers.embedding import PeriodicEmbedding as PeriodicEmbedding
from kerasfound.layers.embedding import PiecewiseLinearEncoding as PiecewiseLinearEncoding
from kerasfound.layers.embedding import quantile_edges as quantile_edges
from kerasfound.layers.normalization import BatchNormalization as BatchNormalization
from kerasfound.layers.normalization import LayerNormalization as LayerNormalization
from kerasfound.layers.normalization import RMSNormalization as RMSNormalization
from kerasfound.layers.perceptron import Neuron as Neuron
from kerasfound.layers.perceptron import Perceptron as Perceptron
from kerasfound.layers.pooling import AveragePooling2D as AveragePooling2D
from kerasfound.layers.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from kerasfound.layers.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from kerasfound.layers.pooling import MaxPooling2D as MaxPooling2D
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
from kerasfound.layers.regularization import Dropout as Dropout
from kerasfound.layers.regularization import RandomShift as RandomShift
from kerasfound.layers.table import CategoryEmbedding as CategoryEmbedding
from kerasfound.layers.table import FillMissing as FillMissing
from kerasfound.layers.table import MemberScaling as MemberScaling
from kerasfound.layers.text import HashedNGrams as HashedNGrams
from kerasfound.layers.text import SortedLookup as SortedLookup
from kerasfound.layers.transformer import CausalTransformerBlock as CausalTransformerBlock
from kerasfound.layers.transformer import FeedForward as FeedForward
from kerasfound.layers.transformer import TransformerDecoder as TransformerDecoder
from kerasfound.layers.transformer import TransformerEncoder as TransformerEncoder

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEmbedding",
    "CausalSelfAttention",
    "CausalTransformerBlock",
    "Conv2D",
    "Dense",
    "DotProductAttention",
    "Dropout",
    "Embedding",
    "FactorizedInteraction",
    "FeedForward",
    "FillMissing",
    "GRUCell",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "HashedNGrams",
    "LSTMCell",
    "LayerNormalization",
    "LeakyReLU",
    "LearnedPosition",
    "Linear",
    "LogSoftmax",
    "MaxPooling2D",
    "MemberScaling",
    "MultiHeadAttention",
    "Neuron",
    "Perceptron",
    "PeriodicEmbedding",
    "PiecewiseLinearEncoding",
    "RMSNormalization",
    "RandomShift",
    "ReLU",
    "RotaryPosition",
    "SiLU",
    "Sigmoid",
    "Sign",
    "SimpleRNN",
    "SimpleRNNCell",
    "SinusoidalPosition",
    "Softmax",
    "Softplus",
    "SortedLookup",
    "SquaredReLU",
    "Step",
    "Swish",
    "Tanh",
    "TransformerDecoder",
    "TransformerEncoder",
    "attention_weights",
    "combine_masks",
    "im2col",
    "quantile_edges",
    "scaled_dot_product_attention",
]
